"""What has to wait becomes a draft, and this is what editors are answered then. Knows no route."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from msgspec import UNSET
from msgspec.structs import asdict, replace
from starlette.responses import Response

from ticker import draft as rules
from ticker.channel import Channel
from ticker.desk.pending import Pending
from ticker.desk.timing import due_of, shown
from ticker.desk.wishes import Wishes
from ticker.draft import Draft, Edit
from ticker.errors import Braked, Conflict, Invalid
from ticker.http.answers import json_answer
from ticker.identity import Identity
from ticker.line import Line, NewLine, Patch
from ticker.newswire import IdempotencyKey, Newswire
from ticker.text import NOTE_MAX


class Proposals:
    """`timezone` is the newsroom's."""

    def __init__(self, newswire: Newswire, pending: Pending, timezone: ZoneInfo) -> None:
        self._newswire = newswire
        self._pending = pending
        self._zone = timezone

    def due(self, wishes: Wishes) -> datetime | None:
        """When it is to go out, in UTC; None if no time is named, or none that can be: that is refused later, because
        the request may be a repeat that was in time."""
        try:
            return due_of(wishes.publish_at, wishes.publish_in, self._newswire.now(), self._zone)
        except Invalid:
            return None

    async def propose(
        self,
        key: Identity,
        channel: Channel,
        wishes: Wishes,
        *,
        new: NewLine | None = None,
        patch: Patch | None = None,
        line: Line | None = None,
        once: IdempotencyKey | None = None,
        braked: Braked | None = None,
        confirm: tuple[str, ...] = (),
    ) -> Response:
        """202: a submitted draft, which goes out when it is due and agreed to. One that a brake has stopped needs a
        second person."""
        now = self._newswire.now()
        at = due_of(wishes.publish_at, wishes.publish_in, now, self._zone)
        note = None if wishes.note_to_desk is UNSET else wishes.note_to_desk
        if braked and note is None:
            note = braked.why[:NOTE_MAX]
        written = rules.write(channel, key, now, new=new, patch=patch, line=line, publish_at=at, note_to_desk=note)
        if braked:
            written = replace(written, needs_approval=True)
        submitted = rules.pass_over(rules.submit(written, channel, key, now), confirm)
        return self.answer(await self._newswire.keep_draft(submitted, once=once), 202)

    async def cancel_of(self, key: Identity, channel: Channel, line: Line, patch: Patch) -> Draft | None:
        """The draft that waits to cancel this line, if there is one that this key may see: two of one intent would need
        four people. If it was written against an earlier version, the one who asks for the same now has edited it.

        Raises Conflict if others have written another note: who edits theirs can't approve it any more.
        """
        found = None
        soon = self._newswire.now() + timedelta(seconds=max(channel.hold.values()))  # what is agreed to waits so long
        async for each in self._pending.cancellations(channel, line.id):
            if may_see(key, each) and (each.publish_at is None or each.publish_at <= soon):
                found = each
                break
        if found is None:
            return None
        noted_else = found.patch is not None and patch.note not in (UNSET, found.patch.note)
        if noted_else and found.writers != {key.person}:
            raise Conflict(
                f"Somebody has asked to cancel this line already, with another note: the draft {found.id}. Approve it, "
                "or edit its note."
            )
        if found.version == line.version and not noted_else:
            return found
        now = self._newswire.now()

        def renewed(kept: Draft) -> Draft:
            noted = patch if kept.patch is None or patch.note is not UNSET else kept.patch
            edited = rules.edit(kept, Edit(patch=noted, version=line.version), channel, key, now)
            return edited if edited.state == "submitted" else rules.submit(edited, channel, key, now)

        try:
            return await self._newswire.change_draft(channel.slug, found.id, renewed)
        except Conflict:  # it has ended meanwhile
            return None

    def answer(
        self, draft: Draft, status: int, *, replayed: bool = False, headers: dict[str, str] | None = None
    ) -> Response:
        headers = {"ETag": draft.etag, **(headers or {})}
        if status in (201, 202):
            headers.setdefault("Location", f"/v1/channels/{draft.channel}/drafts/{draft.id}")
        if replayed:
            headers["Idempotency-Replayed"] = "true"
        return json_answer(self.object(draft), status, headers=headers)

    def object(self, draft: Draft) -> dict[str, object]:
        """The draft as editors see it. What isn't given of a line is left out."""
        fields = {name: value for name, value in asdict(draft.fields).items() if value is not UNSET}
        if not fields.get("refile"):
            fields.pop("refile", None)
        return {
            "id": draft.id,
            "etag": draft.etag,
            "channel": draft.channel,
            "kind": draft.kind,
            "state": draft.state,
            "line": draft.line,
            "version": draft.version,
            "publish_at": draft.publish_at,
            "due": None if (due := _awaited(draft)) is None else shown(due, self._newswire.now(), self._zone),
            "needs_approval": draft.needs_approval,
            "by": draft.by,
            "approved_by": draft.approval.by if draft.approval else None,
            "approval": draft.approval,
            "note_to_desk": draft.note_to_desk,
            "created": draft.created,
            "updated": draft.updated,
            "history": [
                {"at": step.at, "did": step.did, "by": step.by} | ({"note": step.note} if step.note else {})
                for step in draft.history
            ],
            **fields,
        }


def may_see(key: Identity, draft: Draft) -> bool:
    """Editors see every draft, contributors their own."""
    return key.may("edit") or draft.author == key.person


def _awaited(draft: Draft) -> datetime | None:
    """The time that it waits for, if it has one. A submitted one waits for a second person too."""
    return draft.publish_at if draft.state in ("open", "submitted", "scheduled") else None
