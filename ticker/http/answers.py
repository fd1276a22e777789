"""Answers that are JSON. Knows no error: those are problems.py's."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from starlette.responses import Response


def json_answer(
    content: object, status: int = 200, *, cache: str = "no-store", headers: Mapping[str, str] | None = None
) -> Response:
    """The content as `application/json`. `cache` is what Cache-Control says."""
    return Response(
        msgspec.json.encode(content), status, {"Cache-Control": cache, **(headers or {})}, media_type="application/json"
    )
