"""The people who may sign in, and the links that invite them. Knows the newswire's protocol; knows no route, no cookie.

Rule 1: a link is used up by the passkey that it has registered, in one step with that; looking at it changes nothing.
Rule 2: of a person's links the newest alone holds, and each use of one is in the security log.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections.abc import Callable
from datetime import timedelta

from msgspec.structs import replace

from ticker.desk.keys import COPY_FOR, Keyring
from ticker.desk.security_log import Address, SecurityLog
from ticker.errors import Conflict, NotFound, Refused
from ticker.identity import TOKEN_MAX, Identity, Invitation, Passkey, Person, Role, hashed, new_person_id
from ticker.newswire import KEY_REUSED, IdempotencyKey, Newswire
from ticker.session import Session
from ticker.text import shown

INVITED_FOR = 3 * 86_400  # seconds; a weekend
PEOPLE_MAX = 2_000  # a programme that makes more has run wild
PASSKEYS_MAX = 20  # of one person: a few devices, and what was lost

NO_LINK = "This link was used before, has been replaced by a newer one, or is too old. Ask an admin for a new one."


class Roster:
    def __init__(self, newswire: Newswire, keyring: Keyring, log: SecurityLog) -> None:
        self._newswire = newswire
        self._keyring = keyring
        self._log = log
        self._copy: dict[str, Person] = {}
        self._copying = asyncio.Lock()
        self._copy_until = float("-inf")

    # Who there is

    async def all(self) -> list[Person]:
        return await self._newswire.people.all()

    async def get(self, person_id: str) -> Person:
        """Raises NotFound."""
        if person := await self._newswire.people.get(person_id):
            return person
        raise _nobody(person_id)

    async def looked_up(self, person_id: str, address: Address) -> Person | None:
        """For somebody who may be guessing: while the brake is on, that costs the newswire one question a second."""
        if not self._keyring.brake.seconds_left(address):
            return await self._newswire.people.get(person_id)
        async with self._copying:
            now = asyncio.get_running_loop().time()
            if now >= self._copy_until:
                self._copy = {person.id: person for person in await self._newswire.people.all()}
                self._copy_until = now + COPY_FOR
        return self._copy.get(person_id)

    # What admins do

    async def make(
        self,
        name: str,
        role: Role,
        channels: tuple[str, ...],
        *,
        email: str | None,
        owner: str | None,
        by: Identity,
        address: Address,
        once: IdempotencyKey | None,
    ) -> Person:
        """A new person. The same request makes one only. Raises KeyReused, Conflict, Refused."""
        person = Person(
            id=new_person_id(once and once.key),
            name=name,
            role=role,
            channels=channels,
            created=self._newswire.now(),
            email=email,
            owner=owner,
        )
        others = [each for each in await self.all() if each.id != person.id]
        if len(others) >= PEOPLE_MAX:
            raise Refused(f"There are {PEOPLE_MAX} people already, which is the limit.")
        if owner is not None and any(each.person == person.person for each in others):
            raise Conflict(f"Somebody else is known as the owner {owner!r} already.")
        kept = await self._newswire.people.keep(person)
        if kept.created != person.created:
            meant = (person.name, person.role, person.channels, person.email, person.owner)
            if (kept.name, kept.role, kept.channels, kept.email, kept.owner) != meant:
                raise Conflict(KEY_REUSED)
            return kept
        self._log.note("person-made", address, person=person.id, role=role, by=by.id)
        return person

    async def change(
        self, person_id: str, change: Callable[[Person], Person], *, by: Identity, address: Address
    ) -> Person:
        """Raises NotFound, Conflict."""
        if person_id == by.id:
            raise Conflict("Another admin must change what you may do.")
        changed = await self._changed(person_id, change)
        self._log.note("person-changed", address, person=person_id, role=changed.role, by=by.id)
        return changed

    async def revoke(self, person_id: str, *, by: Identity, address: Address) -> Person:
        """They are signed out everywhere, and their keys are revoked. Harmless if it has been done before.

        Raises NotFound, Conflict.
        """
        if person_id in (by.id, getattr(by, "person_id", None)):
            raise Conflict("Another admin must end your own access.")
        now = self._newswire.now()

        def end(person: Person) -> Person:
            if person.revoked is not None:
                return person
            return replace(person, revoked=now, invitation=None, passkeys=(), email=None)

        person = await self._newswire.people.change(person_id, end)
        if person is None:
            raise _nobody(person_id)
        await self.sign_out(person_id)
        for key in await self._newswire.keys.all():
            if person.has(key) and key.revoked is None:
                await self._keyring.revoke(key.id, by=by, address=address)
        self._log.note("person-revoked", address, person=person_id, role=person.role, by=by.id)
        return person

    async def sign_out(self, one: str, but: str | None = None) -> list[Session]:
        """End every session of a key or a person, but perhaps one. Those that were ended."""
        theirs = [each for each in await self._newswire.sessions.all() if each.is_of(one) and each.id != but]
        return [each for each in theirs if await self._newswire.sessions.end(each.id)]

    # Invitations

    async def invite(
        self, person_id: str, *, by: Identity, address: Address, reset: bool = False
    ) -> tuple[Person, str]:
        """The person, and the word of a link with which they may register a passkey, once. Links made before no
        longer hold. `reset`: neither do their passkeys and sessions: something was lost. Raises NotFound, Conflict."""
        word = f"{person_id}.{secrets.token_urlsafe(32)}"
        invitation = Invitation(
            hash=hashed(word), until=self._newswire.now() + timedelta(seconds=INVITED_FOR), by=by.actor
        )

        def invite(person: Person) -> Person:
            return replace(person, invitation=invitation, passkeys=() if reset else person.passkeys)

        person = await self._changed(person_id, invite)
        if reset:
            await self.sign_out(person_id)
        self._log.note("invitation-made", address, person=person_id, by=by.id, reset="yes" if reset else "no")
        return person, word

    async def invited(self, word: str, address: Address) -> Person:
        """Whom a link's word invites. Raises Unauthorized, TooManyAttempts."""
        person_id = word.partition(".")[0] if len(word) <= TOKEN_MAX else ""
        person = await self.looked_up(person_id, address) if person_id else None
        if person is None:
            raise self._keyring.wrong(NO_LINK, address, "invitation-refused", why="unknown")
        if not self._holds(person, word):
            raise self._keyring.wrong(NO_LINK, address, "invitation-refused", why="spent", person=person.id)
        return person

    def _holds(self, person: Person, word: str) -> bool:
        invitation = person.invitation
        return (
            person.revoked is None
            and invitation is not None
            and hmac.compare_digest(invitation.hash, hashed(word))
            and self._newswire.now() < invitation.until
        )

    async def accept(self, person: Person, word: str, passkey: Passkey, address: Address) -> Person:
        """Add a passkey with a link, which is used up by that. Raises Unauthorized, TooManyAttempts, Conflict."""
        used: list[Invitation] = []

        def accept(kept: Person) -> Person:
            used.clear()
            if kept.invitation is None or not self._holds(kept, word):
                return kept
            used.append(kept.invitation)
            return replace(_with(kept, passkey), invitation=None, last_used=passkey.created)

        accepted = await self._changed(person.id, accept)
        if not used:  # somebody was first
            raise self._keyring.wrong(NO_LINK, address, "invitation-refused", why="spent", person=person.id)
        by = used[0].by.id or "-"
        self._log.warn("invitation-used", address, person=person.id, role=accepted.role, by=by)
        return accepted

    # Passkeys

    async def add(self, person_id: str, passkey: Passkey, address: Address) -> Person:
        added = await self._changed(person_id, lambda kept: _with(kept, passkey))
        self._log.note("passkey-added", address, person=person_id, role=added.role)
        return added

    async def rename(self, person_id: str, passkey_id: str, name: str) -> Person:
        def rename(kept: Person) -> Person:
            _expect_passkey(kept, passkey_id)
            return replace(
                kept,
                passkeys=tuple(replace(each, name=name) if each.id == passkey_id else each for each in kept.passkeys),
            )

        return await self._changed(person_id, rename)

    async def remove(self, person_id: str, passkey_id: str, address: Address) -> Person:
        def remove(kept: Person) -> Person:
            _expect_passkey(kept, passkey_id)
            if len(kept.passkeys) == 1 and kept.subject is None:
                raise Conflict("This is your only passkey: without it you could not sign in again. Add another first.")
            return replace(kept, passkeys=tuple(each for each in kept.passkeys if each.id != passkey_id))

        removed = await self._changed(person_id, remove)
        self._log.note("passkey-removed", address, person=person_id, role=removed.role)
        return removed

    async def used(self, person_id: str, passkey: Passkey, sign_count: int) -> Person | None:
        """Note that a passkey was used; None if it can't have been: it is gone, or its counter has not gone on."""
        now = self._newswire.now()
        counted: list[bool] = []

        def use(kept: Person) -> Person:
            known = next((each for each in kept.passkeys if each.id == passkey.id), None)
            goes_on = known is not None and (sign_count > known.sign_count or sign_count == known.sign_count == 0)
            counted[:] = [goes_on and kept.revoked is None]
            if known is None or not counted[0]:
                return kept
            used = replace(known, sign_count=sign_count, last_used=now)
            return replace(
                kept, last_used=now, passkeys=tuple(used if each is known else each for each in kept.passkeys)
            )

        person = await self._newswire.people.change(person_id, use)
        return person if person and counted[0] else None

    async def _changed(self, person_id: str, change: Callable[[Person], Person]) -> Person:
        def careful(person: Person) -> Person:
            if person.revoked is not None:
                raise Conflict(f"{person.name}'s access was ended, for good. Add them again as a new person.")
            return change(person)

        if (changed := await self._newswire.people.change(person_id, careful)) is None:
            raise _nobody(person_id)
        return changed


def _with(person: Person, passkey: Passkey) -> Person:
    if len(person.passkeys) >= PASSKEYS_MAX:
        raise Conflict(f"{PASSKEYS_MAX} passkeys are the limit. Remove one first.")
    if any(each.id == passkey.id for each in person.passkeys):
        raise Conflict("This passkey is registered already.")
    return replace(person, passkeys=(*person.passkeys, passkey))


def _expect_passkey(person: Person, passkey_id: str) -> None:
    if not any(each.id == passkey_id for each in person.passkeys):
        raise NotFound("You have no such passkey.")


def _nobody(person_id: str) -> NotFound:
    return NotFound(f"There is no person {shown(person_id)}. `ticker person list` shows them.")
