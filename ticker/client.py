"""A node's API from the command line. Knows HTTP; knows no terminal.

A change is sent with an Idempotency-Key and tried again while the node can't be reached or says 503, so
that a script's line goes out once, or the script learns that it did not.

Proxies: whatever speaks to the node takes the proxy that the environment names (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY),
but for hosts in NO_PROXY and for this machine itself.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import random
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import SplitResult, urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from ticker import __version__, identity
from ticker.errors import Misconfigured
from ticker.redacting import without_secrets

TIMEOUT = 10.0  # seconds for one request
RECONNECT = 0.2, 5.0  # seconds between two attempts to connect: the first, and the longest
RETRY_STATUS = frozenset({502, 503, 504})
CHANGES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout)


class ServerRefused(Exception):
    """The node answered, and said no. `errors` are the fields at fault, `warnings` what is to be confirmed by
    its name, each with its reason.

    `unsettled`: an earlier attempt got no answer that settles it, so the change may have been made by that one.
    """

    unsettled = False

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        super().__init__(str(problem.get("detail") or f"It answered {status}."))
        self.status = status
        self.errors: list[tuple[str, str]] = [(e["field"], e["detail"]) for e in problem.get("errors") or ()]
        self.warnings: list[tuple[str, str]] = [(e["code"], e["detail"]) for e in problem.get("warnings") or ()]


class Unreachable(Exception):
    """No answer of a node, or none that settles it, for as long as we tried.

    `answered`: a node is there and can't do it now; else the address may be wrong.
    `unsettled`: an attempt was sent and may have been carried out.
    """

    unsettled = False

    def __init__(self, said: str, *, answered: bool = False) -> None:
        super().__init__(f"{said.rstrip('. ')}.")
        self.answered = answered


class Client:
    """Speaks to one node. `retry_for`: seconds a change is tried again. Raises Misconfigured for no address."""

    def __init__(self, url: str, key: str | None, retry_for: float = 10.0) -> None:
        headers = {"User-Agent": f"ticker/{__version__}"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        parts = _address(url)
        self._url = url.rstrip("/")
        self._shown = without_secrets(self._url)
        self._proxy = proxy_for(parts)
        transport = httpx.HTTPTransport(proxy=self._proxy)
        self._http = httpx.Client(base_url=self._url, headers=headers, timeout=TIMEOUT, transport=transport)
        self._retry_for = retry_for
        named = identity.parts(key) if key else None
        self.key_id = named[0] if named else identity.ENVIRONMENT
        """The id by which the node names the key that we use."""

    def call(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        *,
        again: bool = True,
    ) -> Any:
        """The answer's JSON, an object. Raises ServerRefused, Unreachable.

        `again`: whether a change may be sent again when no node has answered, though it may have been made. The node
        knows a repeat of some changes by their Idempotency-Key, but not of all.
        """
        sent = {"Idempotency-Key": str(uuid.uuid4())} if method in CHANGES else {}
        give_up = time.monotonic() + self._retry_for
        wait, unsettled = 0.2, False
        while True:
            try:
                answer = self._http.request(method, path, json=body, headers={**sent, **(headers or {})})
                if answer.status_code not in RETRY_STATUS:
                    return self._settled(answer)
                failed = self._refused_for_now(answer.status_code, _parsed(answer.content), answer.reason_phrase)
                unsettled |= method in CHANGES
            except httpx.HTTPError as error:
                failed = Unreachable(f"{self._shown} can't be reached: {error or type(error).__name__}")
                unsettled |= method in CHANGES and not isinstance(error, NEVER_SENT)
            except (ServerRefused, Unreachable) as settled:
                settled.unsettled = unsettled
                raise
            lost = unsettled and not failed.answered
            if time.monotonic() + wait > give_up or (lost and not again):
                failed.unsettled = lost
                raise failed
            time.sleep(wait)
            wait = min(wait * 2, 2.0)

    def _settled(self, answer: httpx.Response) -> Any:
        """What an answer holds that no other will follow. Raises ServerRefused, Unreachable."""
        found = _parsed(answer.content)
        if answer.is_success and (found is not None or not answer.content):
            return found
        if found and "detail" in found and not answer.is_success:
            raise ServerRefused(answer.status_code, found)
        if answer.is_redirect:
            leads = str(answer.headers.get("location", "elsewhere"))
            raise Unreachable(f"{self._shown} redirects to another address: {leads}")
        raise self._stranger(answer.status_code)

    def _refused_for_now(self, status: int, problem: dict[str, Any] | None, reason: str) -> Unreachable:
        said = (problem or {}).get("detail") or reason or "it gives no reason"
        return Unreachable(f"{self._shown} says {status}: {said}", answered=problem is not None)

    def _stranger(self, status: int) -> Unreachable:
        return Unreachable(
            f"What answers at {self._shown} is not a Ticker node: its answer has status {status} and an unknown content"
        )

    async def frames(self, channels: list[str]) -> AsyncIterator[dict[str, Any]]:
        """Every frame of some channels, reconnecting as often as it takes.

        Raises ServerRefused, and Unreachable where no frame came for `retry_for` seconds of trying.
        """
        query = urlencode([("channel", slug) for slug in channels])
        url = f"{self._url.replace('http', 'ws', 1)}/v1/live?{query}"
        agent = f"ticker/{__version__}"
        give_up, wait = time.monotonic() + self._retry_for, RECONNECT[0]
        while True:
            try:
                async with connect(url, user_agent_header=agent, compression=None, proxy=self._proxy) as socket:
                    async for message in socket:
                        if (frame := _parsed(message)) is None or "type" not in frame:
                            raise self._stranger(101)
                        yield frame
                        give_up, wait = time.monotonic() + self._retry_for, RECONNECT[0]
                failed = Unreachable(f"{self._shown} gives no frames: it closed the connection")
            except InvalidStatus as error:
                status, problem = error.response.status_code, _parsed(error.response.body or b"")
                if status not in RETRY_STATUS:
                    if problem and "detail" in problem:
                        raise ServerRefused(status, problem) from error
                    raise self._stranger(status) from error
                failed = self._refused_for_now(status, problem, error.response.reason_phrase)
            except ConnectionClosed as error:
                code = error.rcvd.code if error.rcvd else 1006
                if code == 1008 or 4400 <= code <= 4499:  # docs/protocol.md: the same would be answered the same
                    raise ServerRefused(code, {"detail": f"The node closed the connection: {error}."}) from error
                failed = Unreachable(f"{self._shown} gives no frames: {error}")
            except (OSError, TimeoutError, WebSocketException) as error:
                failed = Unreachable(f"{self._shown} gives no frames: {error or type(error).__name__}")
            if time.monotonic() + wait > give_up:
                raise failed
            await asyncio.sleep(random.uniform(wait / 2, wait))
            wait = min(wait * 2, RECONNECT[1])


def proxy_for(url: SplitResult) -> str | None:
    """The proxy that the environment names for an address, one rule for all that we send. Raises Misconfigured."""
    host = url.hostname or ""
    if _is_this_machine(host) or proxy_bypass(url.netloc.rpartition("@")[2]):
        return None
    named = getproxies()
    proxy = named.get(url.scheme) or named.get("all")
    if not proxy:
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    if urlsplit(proxy).scheme not in ("http", "https"):
        raise Misconfigured(
            f"{url.scheme.upper()}_PROXY or ALL_PROXY names a {urlsplit(proxy).scheme} proxy, but only http and https "
            f"proxies are supported. Put {host} in NO_PROXY to connect without it."
        )
    return proxy


def _is_this_machine(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback or address.is_unspecified


def _address(url: str) -> SplitResult:
    """Raises Misconfigured where it is no address of a node."""
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        httpx.URL(url)
    except (ValueError, httpx.InvalidURL):
        fits = False
    if not fits or parts.query or parts.fragment:
        raise Misconfigured(
            "--url (TICKER_URL) is not the address of a node. An address looks like http://127.0.0.1:8000 or "
            "https://ticker.example."
        )
    return parts


def _parsed(body: bytes | bytearray | str) -> dict[str, Any] | None:
    """The JSON object that it is; None for anything else."""
    try:
        parsed = json.loads(body)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None
