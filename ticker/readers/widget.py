"""What other sites load: the widget, its former versions and its words. Knows files, encodings and caches."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import json
import logging
import mimetypes
from collections.abc import Mapping
from pathlib import Path

import brotli
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ticker.channel import base_language
from ticker.http.fields import best_encoding, is_held
from ticker.readers.build import NotBuilt, build

SHORT = "public, max-age=300, stale-while-revalidate=86400, stale-if-error=604800"
IMMUTABLE = "public, max-age=31536000, immutable"
DAY = "public, max-age=86400"

# Said to every reader, not only to those that send an Origin: what a cache keeps, it gives to all.
FOR_ANY_PAGE = {"Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin"}

mimetypes.add_type("text/typescript", ".ts")  # of ticker.d.ts; many systems take it for Qt Linguist's

log = logging.getLogger("ticker")


class File:
    """Bytes that don't change while the node runs, compressed once."""

    def __init__(self, content: bytes, media_type: str) -> None:
        self.content = content
        self._media_type = media_type
        self._hash = hashlib.sha256(content).hexdigest()[:32]
        self._bodies = {
            "br": brotli.compress(content, mode=brotli.MODE_TEXT, quality=11),
            "gzip": gzip.compress(content, 9, mtime=0),
            "identity": content,
        }

    @property
    def integrity(self) -> str:
        """For an `integrity` attribute (Subresource Integrity, W3C)."""
        return "sha384-" + base64.b64encode(hashlib.sha384(self.content).digest()).decode()

    def answer(self, request: Request, cache: str) -> Response:
        encoding = best_encoding(request.headers.get("accept-encoding", ""))
        etag = f'"{self._hash}-{encoding}"'
        headers = {**FOR_ANY_PAGE, "Cache-Control": cache, "ETag": etag, "Vary": "Accept-Encoding"}
        if is_held(request.headers.get("if-none-match", ""), etag):
            return Response(status_code=304, headers=headers)
        if encoding != "identity":
            headers["Content-Encoding"] = encoding
        return Response(self._bodies[encoding], headers=headers, media_type=self._media_type)


class Widget:
    """`/ticker.js` follows the node; `/ticker-{version}.js` never changes, so that a page may pin its hash.

    A release carries the builds of the versions before it, and its own, in `released/` (ADR 7): a page that
    has pinned one of them keeps its banner when the nodes are upgraded. What isn't in there can't be pinned: the
    next node would not have it.
    """

    def __init__(self, web: Path, version: str) -> None:
        self._source = web / "ticker.js"
        self._released = {path.stem.removeprefix("ticker-"): path for path in (web / "released").glob("ticker-*.js")}
        self._files: dict[str, File] = {}
        self.version = version

    async def prepare(self) -> None:
        """Build and compress what most readers will ask for."""
        self._latest = await asyncio.to_thread(self._build)
        if self.released:
            await self._pinned(self.version)

    @property
    def released(self) -> bool:
        """Whether this node's version is a release, so that pages may pin it."""
        return self.version in self._released

    @property
    def integrity(self) -> str:
        """Of the pinned file of this node's version, which is released."""
        return self._files[self.version].integrity

    def routes(self) -> list[Route]:
        return [Route("/ticker.js", self.latest), Route("/ticker-{version}.js", self.pinned)]

    async def latest(self, request: Request) -> Response:
        return self._latest.answer(request, SHORT)

    async def pinned(self, request: Request) -> Response:
        version = request.path_params["version"]
        if version not in self._released:
            known = ", ".join(sorted(self._released)) or "none yet"
            raise HTTPException(404, f"There is no release {version[:20]!r} here. Releases: {known}. Else: /ticker.js.")
        return (await self._pinned(version)).answer(request, IMMUTABLE)

    async def _pinned(self, version: str) -> File:
        if version not in self._files:
            self._files[version] = await asyncio.to_thread(_script, self._released[version].read_bytes())
        return self._files[version]

    def _build(self) -> File:
        source = self._source.read_bytes()
        try:
            return _script(build(source))
        except NotBuilt as error:
            log.warning("The widget is served as it was written, %d bytes before compression: %s", len(source), error)
            return _script(source)


class Words:
    """`/words/{language}.json`: what the banner itself says, in one language."""

    def __init__(self, web: Path) -> None:
        self._all: dict[str, dict[str, str]] = json.loads((web / "words.json").read_bytes())
        self._files = {
            language: File(json.dumps(words, ensure_ascii=False, separators=(",", ":")).encode(), "application/json")
            for language, words in self._all.items()
        }

    def of(self, language: str) -> Mapping[str, str]:
        """In a language (BCP 47); English where we don't know it."""
        return self._all.get(base_language(language), self._all["en"])

    def routes(self) -> list[Route]:
        return [Route("/words/{language}.json", self.words)]

    async def words(self, request: Request) -> Response:
        language = request.path_params["language"]
        if (file := self._files.get(base_language(language))) is None:
            raise HTTPException(404, f"The banner has no words in {language[:35]!r}. It has {', '.join(self._all)}.")
        return file.answer(request, DAY)


def _script(content: bytes) -> File:
    return File(content, "text/javascript")
