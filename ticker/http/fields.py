"""What the fields of a request say: lists, entity tags, what a client takes. Pure; as RFC 9110 has them.

A stranger may send 64 kB in any of them, so each is cut to what it can mean before work is done on it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

VALUE_MAX = 4_096  # characters of a list that are looked at; longer ones mean nothing to us
MEMBERS_MAX = 64  # members of a list, likewise; browsers send six

_TAG = re.compile(r'(?:W/)?("[^"]*")')
_CODED = re.compile(r'[-;](?:gzip|br|zstd|deflate)"$')  # Apache and others mark a tag with how they compressed


def members(value: str) -> Iterator[tuple[str, float]]:
    """The members of a list with weights (RFC 9110, 12.4.2), in lower case; a weight that is none counts as 0."""
    for each in value[:VALUE_MAX].lower().split(",", MEMBERS_MAX)[:MEMBERS_MAX]:
        name, *parameters = each.split(";", MEMBERS_MAX)
        weight = 1.0
        for parameter in parameters:
            key, _, number = parameter.partition("=")
            if key.strip() == "q":
                weight = _weight(number.strip())
        yield name.strip(), weight


def accepts(accept: str, media_type: str) -> bool:
    """Whether an Accept field (RFC 9110, 12.5.1) allows a media type: the range that names it best decides."""
    kind = media_type.partition("/")[0]
    weights = dict(members(accept))
    for each in (media_type, f"{kind}/*", "*/*"):
        if each in weights:
            return weights[each] > 0
    return False


def best_encoding(accepted: str) -> str:
    """What to send of br, gzip and identity, the smallest of those liked best (RFC 9110, 12.5.3)."""
    weights = dict(members(accepted))
    rest = weights.get("*", 0.0)
    offered = {"br": weights.get("br", rest), "gzip": weights.get("gzip", rest)}
    # If identity isn't named, it is for clients that accept nothing else. Even if it is refused, it is better than no
    # banner.
    offered["identity"] = max(weights.get("identity", 0.0), 0.0005)
    return max(offered, key=lambda name: offered[name])


def entity_tags(value: str) -> list[str]:
    """The entity tags of an If-None-Match (RFC 9110, 13.1.2), quotes included: a weak one counts as a strong one."""
    return [found[1] for found, _ in zip(_TAG.finditer(value[:VALUE_MAX]), range(MEMBERS_MAX), strict=False)]


def is_held(if_none_match: str, etag: str) -> bool:
    """Whether the client has what the tag names, however a proxy on the way has marked the tag."""
    if if_none_match.strip() == "*":
        return True
    return any(etag in (tag, _CODED.sub('"', tag)) for tag in entity_tags(if_none_match))


def _weight(number: str) -> float:
    """RFC 9110, 12.4.2: from 0 to 1, with up to three digits after the point."""
    return float(number) if re.fullmatch(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?", number) else 0.0
