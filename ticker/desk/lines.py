"""Lines that are public: publish, correct, withhold, reinstate, cancel. What must wait is a draft (proposals.py).

Rule 1: taking words off the air never waits: not for approval, brake or lock. What is asked for beside it may.
Rule 2: what was answered to an Idempotency-Key is answered again before anything is judged anew.
"""

from __future__ import annotations

from contextlib import nullcontext

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import asdict, replace
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ticker.channel import Channel, StepUpAct
from ticker.desk.access import Access, expect, idempotency_key, if_match_of
from ticker.desk.answers import Answers
from ticker.desk.checks import Checks
from ticker.desk.intake import body_of, query_of, sent
from ticker.desk.pending import Pending
from ticker.desk.proposals import Proposals
from ticker.desk.wishes import (
    NO_WISHES,
    Cancellation,
    Change,
    Publication,
    Wishes,
    confirmed,
    confirms,
    expect_mere_refile,
    part_of,
    unconfirmed,
    wishes_of,
)
from ticker.draft import microseconds, must_be_approved
from ticker.errors import Braked, Conflict, FieldError, Invalid, KeyReused, Locked, Stale, StepUp
from ticker.identity import Actor, Identity
from ticker.line import Act, Approval, Cursor, Line, NewLine, Patch, amend, checked, withholds
from ticker.line import expect as expect_version
from ticker.newswire import IdempotencyKey, Newswire, Outcome

TRIES = 30  # times that a change is judged again, because others have changed the line meanwhile
# What a correction is of. The rest says how a line is shown.
_WORDS = ("text", "url", "source", "note", "language", "direction")


class Version(Line, frozen=True, kw_only=True):
    """A line as an event left it, who did it, and by which way."""

    by: Actor
    refile: bool
    draft: str | None
    approval: Approval | None
    confirmed: tuple[str, ...]
    writers: tuple[Actor, ...]
    released_by: Actor | None
    confirmed_by: dict[str, Actor]


class Lines:
    def __init__(
        self,
        newswire: Newswire,
        access: Access,
        checks: Checks,
        pending: Pending,
        proposals: Proposals,
        answers: Answers,
    ) -> None:
        self._newswire = newswire
        self._access = access
        self._checks = checks
        self._pending = pending
        self._proposals = proposals
        self._answers = answers

    def routes(self) -> list[Route]:
        line = "/v1/channels/{channel}/lines/{line_id}"
        return [
            Route("/v1/channels/{channel}/lines", self.publish, methods=["POST"]),
            Route(line, self.correct, methods=["PATCH"]),
            Route(line, self.cancel, methods=["DELETE"]),
            Route(f"{line}/audit", self.audit),
            Route("/v1/channels/{channel}/presence", self.presence),
        ]

    # Publishing

    async def publish(self, request: Request) -> Response:
        key, channel = await self._access.writable(request)
        query_of(request)
        given = await sent(request, Publication)
        new_line, wishes = checked(part_of(given, NewLine)), wishes_of(given)
        once = _once(request, key, new_line, wishes)
        if new_line.urgency == "flash" and (answered := await self._untouched(request, channel, "flash", once, 201)):
            return answered
        async with self._checks.in_turn(channel):
            warnings = await self._checks.of_new(channel, key, new_line, self._proposals.due(wishes))
            braked = unconfirmed(warnings, wishes.confirm)
            waits = wishes.waits or must_be_approved(channel, key, new_line)
            if braked or waits:
                if answered := await self._answered(channel, once, 201):
                    return answered
                if braked and wishes.on_brake == "refuse":
                    raise braked
                return await self._proposals.propose(
                    key,
                    channel,
                    wishes,
                    new=new_line,
                    once=once,
                    braked=braked,
                    confirm=confirmed(warnings, wishes.confirm),
                )
            act = Act(by=key.actor, confirmed=confirmed(warnings, wishes.confirm))
            try:
                outcome = await self._newswire.publish(channel, new_line, act=act, once=once)
            except KeyReused:  # unless it has become a draft before
                if answered := await self._answered(channel, once, 201):
                    return answered
                raise
        return await self._answers.published(channel, outcome)

    # Changing

    async def correct(self, request: Request) -> Response:
        key, channel = await self._access.writable(request)
        query_of(request)
        given = await sent(request, Change)
        patch, wishes = checked(part_of(given, Patch)), wishes_of(given)
        if patch.status == "canceled":
            raise Invalid(FieldError("status", "To cancel a line for good, DELETE it."))
        expect_mere_refile(patch)
        once = _once(request, key, patch, wishes)
        if patch.status != "withheld":
            async with self._checks.in_turn(channel) if patch.urgency == "flash" else nullcontext():
                return await self._change(request, key, channel, patch, wishes, once)
        expect(key, "withhold")
        if wishes.waits:
            raise Invalid(FieldError("publish_at", "Withholding never waits. Leave the time out."))
        return await self._withhold(request, key, channel, patch, wishes, once)

    async def _withhold(
        self,
        request: Request,
        key: Identity,
        channel: Channel,
        patch: Patch,
        wishes: Wishes,
        once: IdempotencyKey | None,
    ) -> Response:
        for _ in range(TRIES):
            line = await self._line(request, channel)
            if not withholds(line, patch) or await self._checks.of_change(key, channel, line, patch):
                break
            try:
                return await self._withhold_with(request, key, channel, line, patch, once)
            except Stale:  # by the client's If-Match, or because another was first
                expect_version(await self._line(request, channel), if_match_of(request))
        if answered := await self._answered(channel, once, 200):
            return answered
        expect_version(line, if_match_of(request))
        if line.status == "withheld" and patch.note in (UNSET, line.note):  # otherwise it has another version then
            await self._pending.hold_back(key, channel, line.id)
        try:
            async with self._checks.in_turn(channel) if patch.urgency == "flash" else nullcontext():
                return await self._change(request, key, channel, patch, wishes, once)
        except (Braked, Locked, StepUp) as error:
            await self._take_off(request, key, channel, line, patch.note)
            raise error if isinstance(error, Locked) else error.but("The line is withheld.") from error

    async def _withhold_with(
        self, request: Request, key: Identity, channel: Channel, line: Line, patch: Patch, once: IdempotencyKey | None
    ) -> Response:
        """The note, if there is one, is that of the line as it stands: another's, who was first, is not overwritten.
        Raises Stale."""
        given = if_match_of(request)
        expected = line.etag if isinstance(patch.note, str) and given in (None, "*") else given
        return await self._amend(request, key, channel, patch, once, if_match=expected)

    async def _change(
        self,
        request: Request,
        key: Identity,
        channel: Channel,
        patch: Patch,
        wishes: Wishes,
        once: IdempotencyKey | None,
    ) -> Response:
        """What is judged is what is changed: if another is first, the line is judged again."""
        if answered := await self._answered(channel, once, 200):
            return answered
        for _ in range(TRIES):
            line = await self._line(request, channel)
            try:
                expect_version(line, if_match_of(request))
            except Stale:
                if answered := await self._answered(channel, once, 200):  # its twin was first
                    return answered
                raise
            amend(line, patch, Cursor(microseconds(self._newswire.now()) // 1000, 0))  # raises Conflict
            if patch.urgency == "flash" != line.urgency:
                self._access.expect_touch(request, channel.slug, "flash")
            warnings = await self._checks.of_change(key, channel, line, patch, self._proposals.due(wishes))
            braked = unconfirmed(warnings, wishes.confirm)
            if braked or wishes.waits or _must_be_approved(channel, key, patch, line):
                break
            act = Act(by=key.actor, refile=patch.refile, confirmed=confirmed(warnings, wishes.confirm))
            try:
                return await self._amend(request, key, channel, patch, once, act, line.etag)
            except Stale:
                continue
        else:
            if patch.status == "withheld":
                await self._take_off(request, key, channel, line, UNSET)
            raise Conflict("Others are changing this line all the time. Your change was not made: send it again.")
        if braked and wishes.on_brake == "refuse":
            raise braked
        if patch.status == "withheld":  # the rest waits
            line = (await self._take_off(request, key, channel, line, patch.note)).line
            patch = replace(patch, status=UNSET)
        return await self._proposals.propose(
            key,
            channel,
            wishes,
            patch=patch,
            line=line,
            once=once,
            braked=braked,
            confirm=confirmed(warnings, wishes.confirm),
        )

    async def _take_off(
        self, request: Request, key: Identity, channel: Channel, line: Line, note: str | UnsetType | None
    ) -> Outcome:
        """Take the line off the air, whatever becomes of the rest. A note goes with it unless it has to wait too."""
        if line.status == "withheld":
            await self._pending.hold_back(key, channel, line.id)
        if line.status != "usable" or await self._checks.of_change(key, channel, line, Patch(note=note)):
            note = UNSET
        alone = Patch(status="withheld", note=note)
        return await self._newswire.amend(channel, line.id, alone, act=Act(by=key.actor), if_match=if_match_of(request))

    async def cancel(self, request: Request) -> Response:
        key, channel = await self._access.writable(request)
        in_query = query_of(request, "note").get("note")
        given = await sent(request, Cancellation) if await body_of(request) else Cancellation()
        if in_query is not None and given.note is not None:
            raise Invalid(FieldError("note", "Give the note in the body or in the query, not in both."))
        confirms(given.confirm)
        note = in_query if given.note is None else given.note
        patch = checked(Patch(status="canceled", note=UNSET if note is None else note))
        once = _once(request, key, patch, NO_WISHES)
        line = await self._line(request, channel)
        if line.status != "canceled":
            try:
                if answered := await self._untouched(request, channel, "cancel", once, 200):
                    return answered
            except StepUp as error:
                if not key.may("withhold"):
                    raise
                expect_version(line, if_match_of(request))
                await self._take_off(request, key, channel, line, patch.note)
                raise error.but("The line is withheld.") from error
        warnings = await self._checks.of_change(key, channel, line, patch)
        braked = unconfirmed(warnings, given.confirm)
        if line.status == "canceled" or not (braked or must_be_approved(channel, key, patch)):
            act = Act(by=key.actor, confirmed=confirmed(warnings, given.confirm))
            try:
                return await self._amend(request, key, channel, patch, once, act)
            except Locked:
                await self._take_off(request, key, channel, line, patch.note)
                raise
        if answered := await self._answered(channel, once, 200):
            return answered
        expect_version(line, if_match_of(request))
        if key.may("withhold"):
            line = (await self._take_off(request, key, channel, line, patch.note)).line
        if braked:
            raise braked.but("The line is withheld.") if key.may("withhold") else braked
        if known := await self._proposals.cancel_of(key, channel, line, patch):
            return self._proposals.answer(known, 202)
        confirm = confirmed(warnings, given.confirm)
        answer = await self._proposals.propose(
            key, channel, NO_WISHES, patch=patch, line=line, once=once, confirm=confirm
        )
        if key.may("withhold"):  # somebody may have put it back just before the draft could be found
            await self._pending.hold_back(key, channel, line.id)
            off = Patch(status="withheld")
            again = await self._newswire.amend(channel, line.id, off, act=Act(by=key.actor))
            if again.event and (renewed := await self._proposals.cancel_of(key, channel, again.line, patch)):
                return self._proposals.answer(renewed, 202)
        return answer

    async def _amend(
        self,
        request: Request,
        key: Identity,
        channel: Channel,
        patch: Patch,
        once: IdempotencyKey | None,
        act: Act | None = None,
        if_match: str | None = None,
    ) -> Response:
        try:
            outcome = await self._newswire.amend(
                channel,
                request.path_params["line_id"],
                patch,
                act=act or Act(by=key.actor),
                if_match=if_match or if_match_of(request),
                once=once,
            )
        except KeyReused:  # unless it has become a draft before
            if answered := await self._answered(channel, once, 200):
                return answered
            raise
        return await self._answers.changed(channel, outcome)

    async def _untouched(
        self, request: Request, channel: Channel, act: StepUpAct, once: IdempotencyKey | None, status: int
    ) -> Response | None:
        """If a passkey must be touched first: the answer that this Idempotency-Key has had. Raises StepUp if none."""
        try:
            self._access.expect_touch(request, channel.slug, act)
        except StepUp:
            if answered := await self._answered(channel, once, status):
                return answered
            raise
        return None

    async def _answered(self, channel: Channel, once: IdempotencyKey | None, status: int) -> Response | None:
        """The answer that this Idempotency-Key has had. Raises KeyReused."""
        match None if once is None else await self._newswire.remembered(channel.slug, once):
            case None:
                return None
            case Outcome() as outcome if status == 201:
                return await self._answers.published(channel, outcome)
            case Outcome() as outcome:
                return await self._answers.changed(channel, outcome)
            case draft:
                return self._proposals.answer(draft, 202, replayed=True)

    async def _line(self, request: Request, channel: Channel) -> Line:
        return await self._newswire.line(channel.slug, request.path_params["line_id"])

    # What editors alone may read

    async def audit(self, request: Request) -> Response:
        """Every complete version, with its text in every status, and who made it. For editors only."""
        key, channel = await self._access.entitled(request)
        expect(key, "edit")
        events = await self._newswire.versions(channel.slug, request.path_params["line_id"])
        versions = [
            Version(
                **asdict(event.line),
                by=event.act.by,
                refile=event.act.refile,
                draft=event.act.draft,
                approval=event.act.approval,
                confirmed=event.act.confirmed,
                writers=event.act.writers,
                released_by=event.act.released_by,
                confirmed_by=event.act.confirmed_by,
            )
            for event in events
        ]
        return self._answers.json({"versions": versions}, {"ETag": events[-1].line.etag})

    async def presence(self, request: Request) -> Response:
        """How many banners are open on the channel, over all nodes. Only a number, nothing about any person."""
        _, channel = await self._access.entitled(request)
        readers, nodes = await self._newswire.presence.of(channel.slug)
        return self._answers.json({"channel": channel.slug, "readers": readers, "nodes": nodes})


def _must_be_approved(channel: Channel, key: Identity, patch: Patch, line: Line) -> bool:
    """The same as for a draft, but what the patch leaves as it is doesn't count. Withholding is never asked about."""
    as_it_is = [name for name in (*_WORDS, "urgency", "status") if getattr(patch, name) == getattr(line, name)]
    if "note" in as_it_is and patch.status == "usable" != line.status:
        as_it_is.remove("note")  # said of a line that was withheld, nobody has agreed to it
    change = replace(patch, **dict.fromkeys(as_it_is, UNSET))
    if change.status == "withheld":
        change = replace(change, status=UNSET)
    if key.may("publish") and change.status is UNSET and all(getattr(change, name) is UNSET for name in _WORDS):
        return change.urgency in channel.approve
    return must_be_approved(channel, key, change)


def _once(request: Request, key: Identity, meant: Struct, wishes: Wishes) -> IdempotencyKey | None:
    """Wishes that say nothing leave the fingerprint as version 0.1.0 made it."""
    return idempotency_key(request, key, *([meant] if wishes is NO_WISHES else [meant, wishes]))
