"""What every answer carries so that browsers keep our pages to themselves. Knows headers only."""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ticker.http.problems import problem

# Our pages load nothing from elsewhere and hold no inline script or style.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


ANSWERS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "ETag, Retry-After",  # beside those that any page's script may read
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
"""What every HTTP answer carries, unless it says otherwise itself."""


class Preflights(CORSMiddleware):
    """Answers preflights alone. All other answers are the same for every origin (`ANSWERS`), and a cache keeps one."""

    def preflight_response(self, request_headers: Headers) -> Response:
        answer = super().preflight_response(request_headers)
        if answer.status_code == 200:
            return answer
        detail = "Pages of other sites may read what is public here. Changes are for our own pages and for programs."
        headers = {name: value for name, value in answer.headers.items() if not name.startswith("content-")}
        return problem(403, "forbidden", "Not for other sites", detail, headers=headers)

    async def simple_response(self, scope: Scope, receive: Receive, send: Send, request_headers: Headers) -> None:
        await self.app(scope, receive, send)


class SecurityHeaders:
    """Pure ASGI middleware: adds the headers that hold for every HTTP answer, unless one is set already."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in ANSWERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, with_headers)
