"""Whose page a request comes from: our own, another site's, or none. Knows headers; knows no cookie and no session."""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple
from urllib.parse import urlsplit

from starlette.requests import Request

from ticker.desk.security_log import SecurityLog, address_of
from ticker.errors import Forbidden, Misconfigured

ORIGIN_MAX = 300  # characters; a host's name has 253
NOT_OURS = (
    "This request came from another site's page, as far as the browser tells. Use the desk's own page, or send the key "
    "in a header. If it was the desk's own page: start the node with the --public-url that you see in the address bar, "
    "or let the proxy pass on the Host header with its port."
)

_ORIGIN = re.compile(r"(https?)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?", re.IGNORECASE)
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """A page's origin (RFC 6454)."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        """As browsers write it."""
        port = "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}"

    @property
    def may_have_passkeys(self) -> bool:
        """Whether browsers make passkeys there: on a host with a name, over TLS or on this very machine (W3C Web
        Authentication, 5.1.2)."""
        return not _is_address(self.host) and (self.scheme == "https" or _is_local(self.host))


class OwnPages:
    """Tells our own pages' requests from others. `public_url` is where browsers find this node.

    Raises Misconfigured if it is not an http or https address.
    """

    def __init__(self, public_url: str, log: SecurityLog) -> None:
        self.origin = _public_origin(public_url)
        self._log = log

    @property
    def is_secure(self) -> bool:
        return self.origin.scheme == "https"

    def expect(self, request: Request) -> None:
        """For signing in and out: raises Forbidden unless our own page asks, or a program.

        A program sends neither Sec-Fetch-Site nor Origin. A form on another site's page may come without them too,
        from an old browser, but it can't send JSON, nor anything else than POST and GET.
        """
        own = self.sent(request)
        kinds = request.headers.getlist("content-type")
        is_json = len(kinds) == 1 and kinds[0].partition(";")[0].strip().lower() == "application/json"
        if own is False or (own is None and not is_json and (kinds or request.method == "POST")):
            raise self.refusal(request)

    def sent(self, request: Request) -> bool | None:
        """Whether the browser says that our own page asks (Fetch Metadata, else Origin); None if it says nothing.

        SameSite=Strict keeps other sites out, but not other hosts of our own site, and not requests without a cookie.
        """
        if sites := request.headers.getlist("sec-fetch-site"):
            return sites == ["same-origin"]
        if not (origins := request.headers.getlist("origin")):
            return None
        origin = _origin(origins[0]) if len(origins) == 1 else None
        if origin is None:
            return False
        if origin == self.origin:
            return True
        if self.is_secure and origin.scheme != "https":
            return False
        hosts = request.headers.getlist("host")
        return len(hosts) == 1 and origin == _origin(f"{origin.scheme}://{hosts[0]}")

    def refusal(self, request: Request) -> Forbidden:
        """What to raise; it is logged."""
        sites, origins = request.headers.get("sec-fetch-site", ""), request.headers.get("origin", "")
        self._log.refused(
            "cross-site-refused",
            address_of(request),
            method=request.method,
            path=request.scope["path"],
            origin=origins or "-",
            site=sites or "-",
        )
        return Forbidden(NOT_OURS)


def _public_origin(url: str) -> Origin:
    """The origin of the pages at a URL. Raises Misconfigured."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").partition("%")[0]  # an IPv6 zone is no part of an origin
        host = f"[{host}]" if ":" in host else host.encode("idna").decode()  # as browsers write it
        origin = _origin(f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}")
    except ValueError:  # UnicodeError is one
        origin = None
    if origin is None:
        raise Misconfigured(
            f"--public-url (TICKER_PUBLIC_URL) is {url!r}; it must be the address that editors see in their browser, "
            "such as https://ticker.example.org."
        )
    return origin


def _origin(text: str) -> Origin | None:
    found = _ORIGIN.fullmatch(text[:ORIGIN_MAX])
    if not found:
        return None
    scheme = found[1].lower()
    return Origin(scheme, found[2].lower(), int(found[3]) if found[3] else _DEFAULT_PORTS[scheme])


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _is_local(host: str) -> bool:
    return host == "localhost" or host.endswith(".localhost")
