"""Drafts: changes that the public can't see yet. Their rules are in draft.py; here is what is asked and answered.

Rule 1: a contributor's drafts are seen by the contributor and by editors. For anyone else there is no such draft.
Rule 2: nothing that is answered here is public, and no word of a draft is logged.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from msgspec import UNSET, UnsetType
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ticker import draft as rules
from ticker.channel import Channel
from ticker.desk import fields
from ticker.desk.access import Access, expect, idempotency_key, if_match_of
from ticker.desk.answers import Answers
from ticker.desk.checks import Checks
from ticker.desk.intake import query_of, sent
from ticker.desk.proposals import Proposals, may_see
from ticker.desk.timing import due_of
from ticker.desk.wishes import confirmed, confirms, desk_words, part_of, unconfirmed
from ticker.draft import LIVING, Draft, Edit, NotDue
from ticker.errors import Conflict, FieldError, Invalid, Stale
from ticker.identity import Identity
from ticker.line import IF_MATCH_MAX, Line, Patch, checked
from ticker.newswire import Newswire, no_draft

ID: Final = re.compile(r"d_[0-9a-f]{32}")


class Drafts:
    def __init__(
        self,
        newswire: Newswire,
        access: Access,
        checks: Checks,
        answers: Answers,
        proposals: Proposals,
        timezone: ZoneInfo,
    ) -> None:
        self._newswire = newswire
        self._access = access
        self._checks = checks
        self._answers = answers
        self._proposals = proposals
        self._zone = timezone

    def routes(self) -> list[Route]:
        drafts = "/v1/channels/{channel}/drafts"
        one = f"{drafts}/{{draft_id}}"
        return [
            Route(drafts, self.create, methods=["POST"]),
            Route(one, self.edit, methods=["PATCH"]),
            Route(one, self.discard, methods=["DELETE"]),
            Route(one, self.one),
            Route(f"{one}/submit", self.submit, methods=["POST"]),
            Route(f"{one}/approve", self.approve, methods=["POST"]),
            Route(f"{one}/return", self.send_back, methods=["POST"]),
            Route(f"{one}/publish", self.publish, methods=["POST"]),
        ]

    # Reading

    async def one(self, request: Request) -> Response:
        _, _, draft = await self._asked(request, self._access.entitled)
        return self._proposals.answer(draft, 200)

    async def _asked(
        self, request: Request, access: Callable[[Request], Any], *, if_match: bool = False
    ) -> tuple[Identity, Channel, Draft]:
        """Who asks, where, and the draft. Raises NotFound for one that this key may not see too."""
        key, channel = await access(request)
        expect(key, "draft")
        draft_id = request.path_params["draft_id"]
        if not ID.fullmatch(draft_id):
            raise no_draft(channel.slug, draft_id)
        draft = await self._newswire.draft(channel.slug, draft_id)
        if not may_see(key, draft):
            raise no_draft(channel.slug, draft_id)
        if if_match:
            _expect(draft, if_match_of(request))
        return key, channel, draft

    # Writing

    async def create(self, request: Request) -> Response:
        key, channel = await self._access.writable(request)
        expect(key, "draft")
        query_of(request)
        given = await sent(request, fields.Fields)
        note = desk_words("note_to_desk", given.note_to_desk)
        once = idempotency_key(request, key, given)
        if once and isinstance(known := await self._newswire.remembered(channel.slug, once), Draft):
            return self._proposals.answer(known, 201, replayed=True)
        now = self._newswire.now()
        at = due_of(given.publish_at, given.publish_in, now, self._zone)
        new, patch, line = None, None, None
        if given.line is UNSET:
            if given.version is not UNSET:
                raise Invalid(FieldError("version", "A version is of a line: give its id as line."))
            new = checked(fields.new_line(given))
        else:
            patch = fields.checked_change(part_of(given, Patch))
            line = await self._newswire.line(channel.slug, given.line)
            if given.version not in (UNSET, line.version):
                raise _passed(line)
        draft = rules.write(
            channel,
            key,
            now,
            new=new,
            patch=patch,
            line=line,
            publish_at=at,
            note_to_desk=None if note is UNSET else note,
        )
        return self._proposals.answer(await self._newswire.keep_draft(draft, once=once), 201)

    async def edit(self, request: Request) -> Response:
        """JSON merge patch: what isn't given stays. Other words of a scheduled draft pass the brakes: nobody else looks
        at them before they go out."""
        key, channel, draft = await self._asked(request, self._access.writable, if_match=True)
        query_of(request)
        given = await sent(request, fields.Edition)
        confirms(given.confirm)
        if given.line not in (UNSET, draft.line):
            raise Invalid(FieldError("line", "A draft stays with its line. Write another one for another line."))
        note = desk_words("note_to_desk", given.note_to_desk)
        now = self._newswire.now()
        at: datetime | UnsetType | None = UNSET
        if given.publish_at is not UNSET or given.publish_in is not UNSET:
            at = due_of(given.publish_at, given.publish_in, now, self._zone)
        if draft.new is not None:
            edit = Edit(new=fields.merged_new(draft.new, given), publish_at=at, note_to_desk=note)
            if given.version is not UNSET:
                raise Invalid(FieldError("version", "This draft is of a new line, which has no version yet."))
        else:
            assert draft.patch is not None
            line = await self._line_of(draft)
            if line.status == "canceled":
                raise Conflict("The line was canceled, for good. Discard this draft, and publish a new line.")
            if (draft.version if given.version is UNSET else given.version) != line.version:
                raise _passed(line)
            version = None if given.version is UNSET else line.version
            edit = Edit(
                patch=fields.merged_change(draft.patch, given), version=version, publish_at=at, note_to_desk=note
            )
        async with self._checks.in_turn(channel):
            if draft.state == "scheduled":
                edit = await self._checked_again(channel, key, draft, edit, given.confirm)

            return await self._changed(draft, request, lambda kept: rules.edit(kept, edit, channel, key, now))

    async def _checked_again(
        self, channel: Channel, key: Identity, draft: Draft, edit: Edit, confirm: tuple[str, ...]
    ) -> Edit:
        """The edit of a scheduled draft, with what was confirmed if it brings other words or another time. What was
        confirmed for the same words stays confirmed."""
        at = draft.publish_at if isinstance(edit.publish_at, UnsetType) else edit.publish_at
        edited = replace(draft, new=edit.new, patch=edit.patch, version=edit.version or draft.version, publish_at=at)
        known = draft.confirmed if _says_the_same(edited, draft) else ()
        if at is None or (_says_the_same(edited, draft) and at == draft.publish_at):
            return edit
        more = await self._expect_unbraked(channel, key, edited, (*known, *confirm), at)
        return Edit(edit.new, edit.patch, edit.version, edit.publish_at, edit.note_to_desk, _joined(known, more))

    async def discard(self, request: Request) -> Response:
        """Recalled: it won't go out. Of one that is on the air, the answer names the line."""
        key, _, draft = await self._asked(request, self._access.writable, if_match=True)
        query_of(request)
        now = self._newswire.now()
        return await self._changed(draft, request, lambda kept: rules.discard(kept, key, now), any_words=True)

    # Deciding

    async def submit(self, request: Request) -> Response:
        key, channel, draft = await self._asked(request, self._access.writable, if_match=True)
        query_of(request)
        given = await fields.optional(request, fields.Submission)
        confirms(given.confirm)
        await self._expect_current(channel, key, draft)
        async with self._checks.in_turn(channel):
            now = self._newswire.now()
            confirm = await self._expect_unbraked(channel, key, draft, given.confirm, _ahead(draft, now))

            def change(kept: Draft) -> Draft:
                after = rules.submit(kept, channel, key, now)
                return after if after is kept else rules.pass_over(after, confirm)

            return await self._changed(draft, request, change)

    async def approve(self, request: Request) -> Response:
        key, channel, draft = await self._asked(request, self._access.writable, if_match=True)
        expect(key, "approve")
        query_of(request)
        given = await fields.optional(request, fields.Agreement)
        confirms(given.confirm)
        now = self._newswire.now()
        rules.expect_to_approve(draft, key)
        await self._expect_current(channel, key, draft)
        at = due_of(None, given.publish_in, now, self._zone) or now + timedelta(
            seconds=await self._hold(channel, draft)
        )
        instead = given.publish_in is not UNSET
        sources, checked_by = fields.remark("sources", given.sources), fields.remark("checked_by", given.checked_by)

        async with self._checks.in_turn(channel):
            due = (None if instead else _ahead(draft, now)) or at
            confirm = await self._expect_unbraked(channel, key, draft, given.confirm, due)

            def change(kept: Draft) -> Draft:
                after = rules.approve(kept, key, now, at, sources, checked_by, instead=instead)
                return after if after is kept else rules.pass_over(after, _joined(kept.confirmed, confirm))

            return await self._changed(draft, request, change)

    async def send_back(self, request: Request) -> Response:
        key, _, draft = await self._asked(request, self._access.writable, if_match=True)
        expect(key, "approve")
        query_of(request)
        reason = fields.remark("reason", (await sent(request, fields.Return)).reason)
        now = self._newswire.now()
        assert reason is not None
        return await self._changed(draft, request, lambda kept: rules.send_back(kept, key, now, reason), any_words=True)

    async def publish(self, request: Request) -> Response:
        """Now, or in some seconds. 202 if a second person must agree first."""
        key, channel, draft = await self._asked(request, self._access.writable, if_match=True)
        expect(key, "publish")
        query_of(request)
        given = await fields.optional(request, fields.Release)
        confirms(given.confirm)
        if draft.state == "released":
            return self._released(draft)
        await self._expect_current(channel, key, draft)
        now = self._newswire.now()
        at = due_of(None, given.publish_in, now, self._zone)
        async with self._checks.in_turn(channel):
            confirm = await self._expect_unbraked(channel, key, draft, given.confirm, at)

            def scheduled(kept: Draft, now: datetime, at: datetime) -> Draft:
                if kept.state == "released":
                    return kept
                _expect(kept, if_match_of(request))
                _expect_same(kept, draft)
                after = rules.schedule(kept, channel, key, now, at)
                _expect_in_its_state(kept, draft, after)
                self._expect_touch(request, kept, after)
                return after if after is kept else rules.pass_over(after, _joined(kept.confirmed, confirm))

            if at is not None:
                return await self._changed(draft, request, lambda kept: scheduled(kept, now, at), status=202)
            try:
                settled, outcome = await self._newswire.settle(
                    channel, draft.id, lambda kept, now: scheduled(kept, now, now)
                )
            except NotDue:
                settled, outcome = await self._newswire.draft(channel.slug, draft.id), None
        match settled.state:
            case "released":
                if outcome:
                    await self._answers.on_air(channel, outcome)
                return self._released(settled)
            case "conflict" | "missed":
                raise Conflict(settled.history[-1].note or f"The draft is {settled.state}.")
            case _:
                return self._proposals.answer(settled, 202)

    def _released(self, draft: Draft) -> Response:
        return self._proposals.answer(
            draft, 200, headers={"Location": f"/v1/channels/{draft.channel}/lines/{draft.line}"}
        )

    async def _changed(
        self,
        draft: Draft,
        request: Request,
        change: Callable[[Draft], Draft],
        *,
        any_words: bool = False,
        status: int = 200,
    ) -> Response:
        """Change it, if nobody has changed what If-Match names, or the words that were looked at. `any_words`: what
        is done is right for other words too."""

        def careful(kept: Draft) -> Draft:
            _expect(kept, if_match_of(request))
            if any_words:
                return change(kept)
            _expect_same(kept, draft)
            after = change(kept)
            _expect_in_its_state(kept, draft, after)
            self._expect_touch(request, kept, after)
            return after

        changed = await self._newswire.change_draft(draft.channel, draft.id, careful)
        return self._proposals.answer(changed, status)

    # What stands in the way

    def _expect_touch(self, request: Request, before: Draft, after: Draft) -> None:
        """Raises StepUp if this lets a flash or a cancellation go out, and the channel asks for a passkey's touch."""
        goes_out = after.state == "scheduled" and after is not before
        if goes_out and after.kind == "cancel":
            self._access.expect_touch(request, after.channel, "cancel")
        elif goes_out and after.fields.urgency == "flash":
            self._access.expect_touch(request, after.channel, "flash")

    async def _line_of(self, draft: Draft) -> Line:
        assert draft.line is not None
        return await self._newswire.line(draft.channel, draft.line)

    async def _expect_current(self, channel: Channel, key: Identity, draft: Draft) -> None:
        """Raises Conflict if the line that it changes has changed since; the draft is in conflict then."""
        if draft.patch is None or draft.state not in LIVING:
            return
        line = await self._line_of(draft)
        if draft.version == line.version:
            return
        now = self._newswire.now()
        await self._newswire.change_draft(channel.slug, draft.id, lambda kept: rules.clash(kept, line, now))
        raise _passed(line)

    async def _expect_unbraked(
        self, channel: Channel, key: Identity, draft: Draft, confirm: tuple[str, ...], at: datetime | None
    ) -> tuple[str, ...]:
        """The brakes that were confirmed, of what goes out now or at a time. Raises Braked for others."""
        if draft.new is not None:
            warnings = await self._checks.of_new(channel, key, draft.new, at, draft.id)
        else:
            assert draft.patch is not None
            line = await self._line_of(draft)
            warnings = await self._checks.of_change(key, channel, line, draft.patch, at, draft.id)
        if braked := unconfirmed(warnings, confirm):
            raise braked
        return confirmed(warnings, confirm)

    async def _hold(self, channel: Channel, draft: Draft) -> int:
        """Seconds in which an approval can be undone."""
        urgency = draft.fields.urgency
        if urgency is UNSET:
            urgency = (await self._line_of(draft)).urgency
        return channel.hold[urgency]


def _expect(draft: Draft, if_match: str | None) -> None:
    """Raises Stale if If-Match names other revisions."""
    if if_match is None or if_match.strip() == "*":
        return
    if len(if_match) > IF_MATCH_MAX or draft.etag not in [
        tag.strip().removeprefix("W/") for tag in if_match.split(",")
    ]:
        raise Stale("The draft has changed meanwhile. Read it again before you change it.")


def _expect_same(kept: Draft, seen: Draft) -> None:
    """Raises Stale if these aren't the words and the time that were looked at and checked."""
    if not _says_the_same(kept, seen) or kept.publish_at != seen.publish_at:
        raise Stale("The draft has changed meanwhile. Read it again first.")


def _expect_in_its_state(kept: Draft, seen: Draft, after: Draft) -> None:
    """Raises Stale if something else has become of it meanwhile, and this would undo that."""
    if after is not kept and kept.state != seen.state:
        raise Stale(f"The draft has become {kept.state} meanwhile. Read it again first.")


def _ahead(draft: Draft, now: datetime) -> datetime | None:
    """The time that it names, unless that has passed."""
    return draft.publish_at if draft.publish_at is not None and draft.publish_at > now else None


def _says_the_same(one: Draft, other: Draft) -> bool:
    return (one.new, one.patch, one.version) == (other.new, other.patch, other.version)


def _joined(confirmed: tuple[str, ...], more: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*confirmed, *more)))


def _passed(line: Line) -> Conflict:
    return Conflict(
        f"The line is at version {line.version} now ({line.status}), and the draft was written against another one. "
        f'Read it, then edit the draft with "version": {line.version}.'
    )
