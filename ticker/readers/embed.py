"""What other sites load: the widget's one file. Knows files and caches."""

from __future__ import annotations

import hashlib
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

SHORT = "public, max-age=300, stale-while-revalidate=86400, stale-if-error=604800"
IMMUTABLE = "public, max-age=31536000, immutable"


class Widget:
    """`/ticker.js` follows the node; `/ticker-{version}.js` never changes, so that a page may pin its hash."""

    def __init__(self, web: Path, version: str) -> None:
        self._source = (web / "ticker.js").read_bytes()
        self._etag = f'"{hashlib.sha256(self._source).hexdigest()[:32]}"'
        self._version = version

    def routes(self) -> list[Route]:
        return [Route("/ticker.js", self.latest), Route("/ticker-{version}.js", self.pinned)]

    async def latest(self, request: Request) -> Response:
        return self._file(request, SHORT)

    async def pinned(self, request: Request) -> Response:
        if request.path_params["version"] != self._version:
            raise HTTPException(404, f"This node serves version {self._version}: /ticker-{self._version}.js.")
        return self._file(request, IMMUTABLE)

    def _file(self, request: Request, cache: str) -> Response:
        headers = {"Cache-Control": cache, "ETag": self._etag, "Cross-Origin-Resource-Policy": "cross-origin"}
        if self._etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(self._source, headers=headers, media_type="text/javascript")
