"""Wiring only: what is made, in which order, and which address leads where."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from ticker import __version__
from ticker.background.ledger import Ledger
from ticker.background.releasing import Releasing
from ticker.background.reporting import report_presence
from ticker.desk.access import Access
from ticker.desk.answers import Answers
from ticker.desk.checks import Checks
from ticker.desk.draft_pages import DraftPages
from ticker.desk.drafts import Drafts
from ticker.desk.keyring import Keys
from ticker.desk.keys import Keyring
from ticker.desk.lines import Lines
from ticker.desk.locks import Locks
from ticker.desk.origins import OwnPages
from ticker.desk.pages import DeskPages
from ticker.desk.passkeys import Passkeys
from ticker.desk.pending import Pending
from ticker.desk.people import People
from ticker.desk.proposals import Proposals
from ticker.desk.roster import Roster
from ticker.desk.security_log import SecurityLog
from ticker.desk.session_list import SessionList
from ticker.desk.sessions import Sessions
from ticker.errors import Misconfigured, TickerError
from ticker.fanout.relay import Relay
from ticker.fanout.sender import open_sender
from ticker.http.answers import json_answer
from ticker.http.problems import answer
from ticker.http.security import Preflights, SecurityHeaders
from ticker.newswire import open_newswire
from ticker.readers.assets import Assets
from ticker.readers.corrections import Corrections
from ticker.readers.embed import Embeds
from ticker.readers.live import Live
from ticker.readers.pages import Pages, open_templates
from ticker.readers.snapshot import Snapshots
from ticker.readers.widget import Widget, Words
from ticker.settings import Settings

WATCHED_FOR = 5.0  # seconds since /readyz was asked: load balancers ask every one or two


def web_folder() -> Path:
    """Our pages and the widget: inside the installed package, or beside it in a checkout. Raises Misconfigured."""
    here = Path(__file__).parent
    for folder in (here / "web", here.parent / "web"):
        if (folder / "ticker.js").is_file():
            return folder
    raise Misconfigured("The pages (web/) are missing from this installation. Install Ticker again.")


class Node:
    """One node: its parts, and the ASGI application over them."""

    def __init__(self, settings: Settings) -> None:
        web = web_folder()
        self.newswire = open_newswire(settings.newswire, settings.node)
        sender = open_sender(io_uring=settings.io_uring)
        self.relay = Relay(self.newswire, settings.channels, sender, connection_age=settings.connection_age)
        security_log = SecurityLog(addresses=settings.log_addresses)
        self.keyring = Keyring(self.newswire, settings.admin_key, security_log)
        own_pages = OwnPages(settings.public_url, security_log)
        sessions = Sessions(self.newswire, self.keyring, own_pages, security_log)
        roster = Roster(self.newswire, self.keyring, security_log)
        access = Access(self.relay, sessions)
        checks, answers = Checks(self.newswire, self.relay, access), Answers(self.newswire, self.relay)
        pending = Pending(self.newswire)
        proposals = Proposals(self.newswire, pending, settings.timezone)
        drafts = Drafts(self.newswire, access, checks, answers, proposals, settings.timezone)
        self.releasing = Releasing(self.newswire, settings.channels)
        self.ledger = Ledger(self.newswire, settings.channels)
        self.live = Live(self.relay)
        self.widget = Widget(web, __version__)
        self._channels = settings.channels
        self._asked_ready_at = float("-inf")
        words = Words(web)
        templates = open_templates(web)
        pages = Pages(templates, self.relay, words, settings.public_url)
        corrections = Corrections(self.newswire, self.relay, self.ledger, templates, words, settings.public_url)
        self.app = Starlette(
            routes=[
                *self.live.routes(),  # first: every page in the world knocks there after a restart
                *Lines(self.newswire, access, checks, pending, proposals, answers).routes(),
                *checks.routes(),
                *drafts.routes(),
                *DraftPages(self.newswire, access, proposals).routes(),
                *Locks(self.newswire, self.relay, access, security_log).routes(),
                *Keys(self.newswire, self.relay, access, self.keyring).routes(),
                *People(self.relay, access, roster, own_pages.origin, settings.public_url).routes(),
                *SessionList(self.newswire, access, roster, security_log).routes(),
                *Passkeys(self.newswire, access, self.keyring, roster, sessions, own_pages, security_log).routes(),
                *DeskPages(web, templates, self.relay, self.keyring, sessions, own_pages, settings.timezone).routes(),
                *Snapshots(self.newswire, self.relay).routes(),
                *corrections.routes(),
                *self.widget.routes(),
                *words.routes(),
                *Embeds(templates, self.relay, self.widget, words, settings.public_url).routes(),
                *pages.routes(),
                Route("/healthz", self.alive),
                Route("/readyz", self.ready),
                *Assets(web).routes(),
            ],
            middleware=[
                Middleware(SecurityHeaders),
                # Everything public may be read from any page. Changes are for our own pages and for programs.
                Middleware(
                    Preflights,
                    allow_origins=["*"],
                    allow_methods=["GET", "HEAD"],
                    allow_headers=["If-None-Match", "Last-Event-ID", "Cache-Control"],
                ),
            ],
            exception_handlers={
                TickerError: answer,
                HTTPException: pages.no_page,
                ClientDisconnect: answer,
                Exception: answer,
            },
            lifespan=lambda app: self.running(),
        )
        self.app.router.redirect_slashes = False  # the redirect would use Host; `answer` redirects without one

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Open the newswire and follow it; meanwhile the widget is read. Raises Misconfigured."""
        await asyncio.gather(self.newswire.open(self._channels), self.widget.prepare())
        services = (
            self.relay.run(),
            self.relay.beat(),
            self.releasing.run(),
            self.ledger.run(),
            report_presence(self.newswire.presence, self.relay.hub),
        )
        tasks = [asyncio.create_task(service) for service in services]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.newswire.close()

    @property
    def is_watched(self) -> bool:
        """Whether somebody, a load balancer it seems, goes by this node's `/readyz`."""
        return self._asked_ready_at > asyncio.get_running_loop().time() - WATCHED_FOR

    async def alive(self, request: Request) -> Response:
        return _status("ok", 200)

    async def ready(self, request: Request) -> Response:
        """Whether readers and editors should be sent here. Raises NewswireUnavailable."""
        self._asked_ready_at = asyncio.get_running_loop().time()
        if self.relay.hub.draining:
            return _status("draining", 503)
        if not self.relay.ready:
            return _status("no newswire", 503)
        await self.newswire.probe()
        wire = self.newswire
        return _status(
            "ok", 200, clock=wire.clock_is_off(), versions=wire.versions_are_mixed(), settings=wire.settings_differ()
        )


def _status(word: str, status: int, **more: str | None) -> Response:
    """`more`: fields that are left out if they are empty."""
    body = {"status": word} | {name: said for name, said in more.items() if said}
    return json_answer(body, status)
