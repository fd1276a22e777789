"""For pages that aren't ours: the snippet builder, the page for an iframe, oEmbed. Knows templates; fetches nothing."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode, urlsplit

from jinja2 import Environment
from markupsafe import escape
from msgspec import Struct, structs
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ticker.channel import LABELS, Channel
from ticker.errors import NotFound
from ticker.fanout.relay import Relay
from ticker.http.answers import json_answer
from ticker.http.security import PAGE_POLICY
from ticker.readers.banner_options import SHOWN_MAX, BannerOptions
from ticker.readers.pages import no_channel, plain
from ticker.readers.snapshot import CACHED
from ticker.readers.widget import FOR_ANY_PAGE, Widget, Words

FRAME_WIDTH = 600  # CSS pixels, if a consumer names no limit: an article's column
# CSS pixels, by mode: in a column, and in a page that is at least so wide
HEIGHTS = {"": (134, 74), "scroll": (94, 58), "list": (480, 480)}
WIDE_FROM = 672
FRAMED = "frame-ancestors *"
SANDBOX = "allow-scripts allow-popups allow-popups-to-escape-sandbox"  # popups: a line's link opens in a tab of its own

_EMBEDDED = re.compile(r"/(channels|embed)/([^/]+)/?")


class Snippets(Struct, frozen=True, kw_only=True):
    """What an embedder copies."""

    banner: str
    frame: str
    resize: str
    link: str
    policy: str


class Embeds:
    """`/embed`, `/embed/{channel}` and `/oembed`. `public_url` is the node's public address."""

    def __init__(self, templates: Environment, relay: Relay, widget: Widget, words: Words, public_url: str) -> None:
        self._templates = templates
        self._relay = relay
        self._widget = widget
        self._words = words
        self._public_url = public_url
        self._socket_url = public_url.replace("http", "ws", 1)
        # The addresses stand beside 'self', which means nothing to some browsers in a sandboxed frame.
        ours = f"'self' {public_url}"
        self._frame_policy = (
            f"default-src 'none'; script-src {ours}; style-src {ours}; img-src data:; "
            f"connect-src {ours} {self._socket_url}; form-action 'none'; base-uri 'none'; "
            f"require-trusted-types-for 'script'; trusted-types 'none'; {FRAMED}"
        )

    def routes(self) -> list[Route]:
        return [
            Route("/embed", self.builder),
            Route("/embed/{channel}", self.frame),
            Route("/oembed", self.oembed),
        ]

    async def builder(self, request: Request) -> Response:
        """Builds what its own form asks for, without a script; its script only saves the button."""
        channels = self._relay.channels
        channel = channels.get(request.query_params.get("channel", "")) or next(iter(channels.values()))
        options = BannerOptions.asked(request.query_params)
        pinned = self._widget.released and request.query_params.get("version") == self._widget.version
        html = self._templates.get_template("embed/index.html").render(
            channels=list(channels.values()),
            channel=channel,
            options=options,
            direction=options.direction(channel),
            labels=LABELS,
            shown_max=SHOWN_MAX,
            version=self._widget.version if self._widget.released else None,
            pinned=pinned,
            snippets=self._snippets(channel, options, pinned),
        )
        headers = {"Cache-Control": "no-cache", "Content-Security-Policy": PAGE_POLICY}
        return Response(html, headers=headers, media_type="text/html")

    async def frame(self, request: Request) -> Response:
        """The banner as a separate page. The page contains the lines, and the banner replaces them."""
        slug = request.path_params["channel"]
        if (channel := self._relay.channels.get(slug)) is None:
            return no_channel(request, self._templates, self._relay, framed=True)
        options = structs.replace(BannerOptions.asked(request.query_params), sticky="")
        board = self._relay.board(slug)
        html = self._templates.get_template("embed/frame.html").render(
            channel=channel,
            options=options,
            direction=options.direction(channel),
            lines=[plain(line) for line in options.chosen(board.lines)],
            now=board.now,
            words=self._words.of(options.lang or channel.language),
            public_url=self._public_url,
            address=self._address(channel, options),
        )
        headers = {
            "Cache-Control": CACHED if self._relay.ready else "no-store",
            "Content-Security-Policy": self._frame_policy,
            "Cross-Origin-Resource-Policy": "cross-origin",
            "X-Robots-Tag": "noindex",
        }
        return Response(html, headers=headers, media_type="text/html")

    async def oembed(self, request: Request) -> Response:
        """oEmbed 1.0 (https://oembed.com), section 2: JSON alone."""
        query = request.query_params
        if query.get("format", "json") != "json":
            raise HTTPException(501, "This server answers oEmbed only as JSON: format=json.")
        if not (url := query.get("url")):
            raise HTTPException(400, f"Name what to embed: /oembed?url={self._public_url}/channels/CHANNEL.")
        channel, options = self._embedded(url)
        width = min(FRAME_WIDTH, _pixels(query, "maxwidth"))
        height = min(_height(options, width), _pixels(query, "maxheight"))
        answer = {
            "version": "1.0",
            "type": "rich",
            "title": _title(channel),
            "provider_name": urlsplit(self._public_url).netloc,
            "provider_url": self._public_url,
            "cache_age": 3600,
            "width": width,
            "height": height,
            "html": self._iframe(channel, options, width, height),
        }
        return json_answer(answer, cache="public, max-age=3600", headers=FOR_ANY_PAGE)

    def _embedded(self, url: str) -> tuple[Channel, BannerOptions]:
        """What a link of ours shows. Raises NotFound for any other."""
        ours = urlsplit(self._public_url)
        try:
            given = urlsplit(url)
            asked = dict(parse_qsl(given.query, keep_blank_values=True, max_num_fields=50))
        except ValueError as error:
            raise NotFound("This is not an address.") from error
        at_home = given.scheme in ("http", "https") and given.netloc.lower() == ours.netloc.lower()
        found = _EMBEDDED.fullmatch(given.path.removeprefix(ours.path))
        channel = self._relay.channels.get(found[2]) if found and at_home else None
        if found is None or channel is None:
            raise NotFound(
                f"This is not an address of this server that can be embedded. Use {self._public_url}/channels/CHANNEL."
            )
        return channel, BannerOptions(mode="list") if found[1] == "channels" else BannerOptions.asked(asked)

    def _snippets(self, channel: Channel, options: BannerOptions, pinned: bool) -> Snippets:
        script = {"type": "module", "src": f"{self._public_url}/ticker.js"}
        if pinned:
            script["src"] = f"{self._public_url}/ticker-{self._widget.version}.js"
            script |= {"integrity": self._widget.integrity, "crossorigin": "anonymous"}
        in_frame = structs.replace(options, sticky="")
        # Before its first board the banner doesn't know its channel's direction, and would change sides then.
        known = structs.replace(
            options, dir=options.dir or ("" if options.lang or channel.direction == "ltr" else "rtl")
        )
        tags = [_tag("script", script), _tag("breaking-ticker", {"channel": channel.slug, **known.attributes})]
        policy = f"script-src {self._public_url}; connect-src {self._public_url} {self._socket_url};"
        if room := options.room:
            tags.insert(0, f"<style>{room}</style>")
            policy += f" style-src 'sha256-{base64.b64encode(hashlib.sha256(room.encode()).digest()).decode()}';"
        return Snippets(
            banner="\n".join(tags),
            frame=self._iframe(channel, in_frame, "100%", _height(options, 0)),
            resize=_RESIZE.replace("SERVER", str(escape(self._public_url))),
            link=self._address(channel, in_frame),
            policy=policy,
        )

    def _iframe(self, channel: Channel, options: BannerOptions, width: int | str, height: int) -> str:
        attributes = {
            "src": self._address(channel, options),
            "title": _title(channel),
            "width": str(width),
            "height": str(height),
            "style": "border: 0",
            "sandbox": SANDBOX,
        }
        return _tag("iframe", attributes)

    def _address(self, channel: Channel, options: BannerOptions) -> str:
        query = urlencode(options.attributes)
        return f"{self._public_url}/embed/{channel.slug}{'?' if query else ''}{query}"


# An iframe can't be as high as what is in it by itself. Sandboxed, its messages come from no origin: see who sent them.
_RESIZE = """<script>
  addEventListener("message", ({ data, source }) => {
    if (data?.type !== "ticker:height") return;
    for (const frame of document.querySelectorAll('iframe[src^="SERVER/embed/"]')) {
      if (frame.contentWindow === source) frame.height = data.height;
    }
  });
</script>"""


def _tag(name: str, attributes: Mapping[str, str]) -> str:
    written = "".join(f' {key}="{escape(value)}"' if value else f" {key}" for key, value in attributes.items())
    return f"<{name}{written}></{name}>"


def _title(channel: Channel) -> str:
    return f"{channel.label} – {channel.title}"


def _height(options: BannerOptions, width: int) -> int:
    return HEIGHTS[options.mode][width >= WIDE_FROM]


def _pixels(query: Mapping[str, str], name: str) -> int:
    """A consumer's limit; if it names none, a very large number."""
    value = query.get(name, "100000")
    if not (value.isascii() and value.isdigit() and 0 < len(value) <= 6 and int(value)):
        raise HTTPException(400, f"{name} is {value[:20]!r}; it is a number of pixels.")
    return int(value)
