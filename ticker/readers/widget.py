"""What other sites load: the widget, its former versions and its words. Knows files, encodings and caches."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import json
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

SHORT = "public, max-age=300, stale-while-revalidate=86400, stale-if-error=604800"
IMMUTABLE = "public, max-age=31536000, immutable"
DAY = "public, max-age=86400"

KINDS = (".js", ".extras.js", ".classic.js")
"""What a release is, behind `ticker` and its version."""

# Said to every reader, not only to those that send an Origin: what a cache keeps, it gives to all.
FOR_ANY_PAGE = {"Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin"}

mimetypes.add_type("text/typescript", ".ts")  # of ticker.d.ts; many systems take it for Qt Linguist's


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

    They are served as they lie in `web/`, built (ADR 12). Beside the module there are what it loads for the few
    banners that need it (`.extras.js`), and all of it as a classic script (`.classic.js`): see KINDS.

    A release carries the builds of the versions before it, and its own, in `released/` (ADR 7): a page that
    has pinned one of them keeps its banner when the nodes are upgraded. What isn't in there can't be pinned: the
    next node would not have it.
    """

    def __init__(self, web: Path, version: str) -> None:
        self._web = web
        self._released = {path.name: path for path in (web / "released").glob("ticker-*.js")}
        self._files: dict[str, File] = {}
        self.version = version

    async def prepare(self) -> None:
        """Read and compress what most readers will ask for."""
        self._latest = {f"ticker{kind}": await _script(self._web / f"ticker{kind}") for kind in KINDS}
        if self.released:
            await self._pinned(_pinned_name(self.version))

    @property
    def released(self) -> bool:
        """Whether this node's version is a release, so that pages may pin it."""
        return _pinned_name(self.version) in self._released

    @property
    def integrity(self) -> str:
        """Of the pinned file of this node's version, which is released."""
        return self._files[_pinned_name(self.version)].integrity

    def routes(self) -> list[Route]:
        latest = [Route(f"/ticker{kind}", self.latest) for kind in KINDS]
        return [*latest, Route("/ticker-{version}.js", self.pinned)]

    async def latest(self, request: Request) -> Response:
        return self._latest[request.url.path.rpartition("/")[2]].answer(request, SHORT)

    async def pinned(self, request: Request) -> Response:
        """The version of a classic script ends with its kind: `0.1.0.classic`."""
        version = request.path_params["version"]
        if (name := _pinned_name(version)) not in self._released:
            known = ", ".join(sorted(set(map(_version_of, self._released)))) or "none yet"
            raise HTTPException(404, f"There is no release {version[:20]!r} here. Releases: {known}. Else: /ticker.js.")
        return (await self._pinned(name)).answer(request, IMMUTABLE)

    async def _pinned(self, name: str) -> File:
        if name not in self._files:
            self._files[name] = await _script(self._released[name])
        return self._files[name]


class Words:
    """`/words/{language}.json`: what the banner itself says, in one language."""

    def __init__(self, web: Path) -> None:
        self._all: dict[str, dict[str, str]] = json.loads((web / "words.json").read_bytes())
        self._files = {
            language: File(json.dumps(words, ensure_ascii=False, separators=(",", ":")).encode(), "application/json")
            for language, words in self._all.items()
        }

    def of(self, language: str) -> Mapping[str, str]:
        """In a language (BCP 47); English if we don't know it."""
        return self._all.get(base_language(language), self._all["en"])

    def routes(self) -> list[Route]:
        return [Route("/words/{language}.json", self.words)]

    async def words(self, request: Request) -> Response:
        language = request.path_params["language"]
        if (file := self._files.get(base_language(language))) is None:
            raise HTTPException(404, f"The banner has no words in {language[:35]!r}. It has {', '.join(self._all)}.")
        return file.answer(request, DAY)


def _pinned_name(version: str) -> str:
    return f"ticker-{version}.js"


def _version_of(name: str) -> str:
    """Of whichever kind the file is."""
    found = name.removeprefix("ticker-")
    return min((found.removesuffix(kind) for kind in KINDS), key=len)


async def _script(path: Path) -> File:
    return await asyncio.to_thread(lambda: File(path.read_bytes(), "text/javascript"))
