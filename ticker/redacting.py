"""Secrets kept out of what is printed, logged or answered. Pure; knows what a URL looks like, and no scheme."""

from __future__ import annotations

import re

HIDDEN = "…"

_SECRET_OPTION = re.compile(r"([?&][^=&#]*(?:password|secret|token|key)=)[^&#]*", re.IGNORECASE)


def without_secrets(url: str) -> str:
    """A URL, or what was meant to be one, in a form that anybody may see: no user, no password, no secret option.

    A password may hold characters that end the host's part of a URL. So all up to the last @ is taken out.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        scheme, rest = "", url
    credentials, at, place = rest.rpartition("@")
    return f"{scheme}{separator}{HIDDEN if credentials else ''}{at}" + _SECRET_OPTION.sub(rf"\g<1>{HIDDEN}", place)
