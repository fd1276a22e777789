"""`/assets`: the scripts and styles of our own pages. Knows files; templates and sources are none of them."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ticker.errors import NotFound
from ticker.readers.widget import File

MEDIA_TYPES = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".ts": "text/plain",  # of the banner's types: nothing else has a media type of their own
    ".woff2": "font/woff2",
}
"""What is served; no other file in these folders is public."""

ROOMS = ("channel", "demo", "desk", "embed")  # folders of pages, each with its scripts and styles
FOR_DEVELOPERS = ("ticker.d.ts", "custom-elements.json")  # what editors of code know the banner by


class Assets:
    """Read and compressed once, when the node starts. Answers are whole: no Range is heeded (RFC 9110, 14.2)."""

    def __init__(self, web: Path) -> None:
        paths = [path for room in ROOMS for path in (web / room).rglob("*") if path.suffix in MEDIA_TYPES]
        paths += [web / name for name in FOR_DEVELOPERS]
        self._files = {
            path.relative_to(web).as_posix(): File(path.read_bytes(), MEDIA_TYPES[path.suffix]) for path in paths
        }

    def routes(self) -> list[Route]:
        return [Route("/assets/{path:path}", self.asset)]

    async def asset(self, request: Request) -> Response:
        if (file := self._files.get(request.path_params["path"])) is None:
            raise NotFound("There is nothing at this address.")
        return file.answer(request, "no-cache")
