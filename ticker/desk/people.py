"""People, added, changed and revoked by admins. Who they are and what invites them: roster.py."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import asdict, replace
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ticker import text
from ticker.channel import no_such_channel
from ticker.desk.access import Access, idempotency_key
from ticker.desk.fields import optional
from ticker.desk.intake import query_of, sent
from ticker.desk.origins import Origin
from ticker.desk.roster import Roster
from ticker.desk.security_log import address_of
from ticker.errors import FieldError, Invalid
from ticker.fanout.relay import Relay
from ticker.http.answers import json_answer
from ticker.identity import ENVIRONMENT_NAME, Identity, Passkey, Person, Role

EMAIL_MAX = 254  # characters; RFC 5321, 4.5.3.1.3, less the brackets
NO_PASSKEYS = (
    "Browsers make passkeys only on a host with a name, over https. Start the node with the --public-url that people "
    "see in their browser, such as https://ticker.example.org."
)


class PersonRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    role: Role = "editor"
    channels: tuple[str, ...] = ()
    email: str | None = None
    owner: str | None = None
    """What keys name as their owner that were made before: those keys are this person's too."""


class PersonChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """JSON merge patch."""

    name: str | UnsetType = UNSET
    role: Role | UnsetType = UNSET
    channels: tuple[str, ...] | UnsetType = UNSET
    email: str | UnsetType | None = UNSET


class LinkRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`reset`: passkeys and sessions that there are hold no longer."""

    reset: bool = False


class PasskeyInfo(Struct, frozen=True, kw_only=True):
    """A passkey as lists show it."""

    id: str
    name: str
    created: datetime
    last_used: datetime | None
    by: str


class PersonInfo(Struct, frozen=True, kw_only=True):
    """A person as admins see them. `invited_until`: when the link that stands is over."""

    id: str
    name: str
    email: str | None
    role: Role
    channels: tuple[str, ...]
    owner: str | None
    created: datetime
    last_used: datetime | None
    revoked: datetime | None
    passkeys: tuple[PasskeyInfo, ...]
    invited_until: datetime | None


def passkey_info(passkey: Passkey) -> PasskeyInfo:
    return PasskeyInfo(**{name: getattr(passkey, name) for name in PasskeyInfo.__struct_fields__})


class People:
    """`public_url` is where browsers find this node."""

    def __init__(self, relay: Relay, access: Access, roster: Roster, origin: Origin, public_url: str) -> None:
        self._channels = relay.channels
        self._access = access
        self._roster = roster
        self._origin = origin
        self._public_url = public_url

    def routes(self) -> list[Route]:
        one = "/v1/people/{person_id}"
        return [
            Route("/v1/people", self.make, methods=["POST"]),
            Route("/v1/people", self.list),
            Route(one, self.change, methods=["PATCH"]),
            Route(one, self.revoke, methods=["DELETE"]),
            Route(one, self.one),
            Route(f"{one}/link", self.link, methods=["POST"]),
        ]

    async def make(self, request: Request) -> Response:
        """The answer holds the link that invites them, this once."""
        admin = await self._access.admin(request)
        query_of(request)
        asked = await sent(request, PersonRequest)
        given = checked_identity(asdict(asked), self._channels)
        person = await self._roster.make(
            **given,
            by=admin,
            address=address_of(request),
            once=idempotency_key(request, admin, asked),
        )
        return await self._with_link(request, person, admin)

    async def list(self, request: Request) -> Response:
        await self._access.admin(request)
        return json_answer({"people": [self._info(each) for each in await self._roster.all()]})

    async def one(self, request: Request) -> Response:
        await self._access.admin(request)
        return json_answer(self._info(await self._roster.get(request.path_params["person_id"])))

    async def change(self, request: Request) -> Response:
        admin = await self._access.admin(request)
        query_of(request)
        asked = await sent(request, PersonChange)
        given = {name: value for name, value in asdict(asked).items() if value is not UNSET}

        def merged(person: Person) -> Person:
            after = {"name": person.name, "role": person.role, "channels": person.channels, **given}
            if "role" in given and "channels" not in given and person.role != given["role"]:
                after["channels"] = () if given["role"] in ("chief", "admin") else person.channels
            return replace(person, **checked_identity(after, self._channels))

        person_id = request.path_params["person_id"]
        changed = await self._roster.change(person_id, merged, by=admin, address=address_of(request))
        return json_answer(self._info(changed))

    async def revoke(self, request: Request) -> Response:
        admin = await self._access.admin(request)
        query_of(request)
        person_id = request.path_params["person_id"]
        return json_answer(self._info(await self._roster.revoke(person_id, by=admin, address=address_of(request))))

    async def link(self, request: Request) -> Response:
        admin = await self._access.admin(request)
        query_of(request)
        given = await optional(request, LinkRequest)
        person = await self._roster.get(request.path_params["person_id"])
        return await self._with_link(request, person, admin, reset=given.reset)

    async def _with_link(self, request: Request, person: Person, admin: Identity, *, reset: bool = False) -> Response:
        said: dict[str, str | None] = {"link": None, "no_link": NO_PASSKEYS}
        if self._origin.may_have_passkeys:
            person, word = await self._roster.invite(person.id, by=admin, address=address_of(request), reset=reset)
            said = {"link": f"{self._public_url}/desk/invitation#{word}"}
        return json_answer({**asdict(self._info(person)), **said}, 201)

    def _info(self, person: Person) -> PersonInfo:
        own = {"passkeys", "invited_until"}
        shown = {name: getattr(person, name) for name in PersonInfo.__struct_fields__ if name not in own}
        return PersonInfo(
            **shown,
            passkeys=tuple(passkey_info(each) for each in person.passkeys),
            invited_until=person.invitation.until if person.invitation else None,
        )


def checked_identity(given: dict[str, Any], known: Collection[str]) -> dict[str, Any]:
    """What is asked for of a key or a person, with its words as they will be kept. Channels that would not limit it
    are refused. Raises Invalid."""
    errors = []
    role, channels = given["role"], given["channels"]
    if role in ("chief", "admin") and channels:
        detail = f"The role {role} has access to every channel. Name no channel, or choose the role editor."
        errors.append(FieldError("channels", detail))
    elif unknown := set(channels) - set(known):
        errors.append(FieldError("channels", no_such_channel(min(unknown), known)))
    elif len(set(channels)) < len(channels):
        errors.append(FieldError("channels", "A channel is named more than once."))
    checked = dict(given)
    for field in ("name", "owner", "email"):
        value = given.get(field)
        try:
            if value is not None:
                checked[field] = _email(value) if field == "email" else text.one_line(value, text.SOURCE_MAX)
        except ValueError as broken:
            errors.append(FieldError(field, str(broken)))
    name = checked["name"]
    if name.casefold() == ENVIRONMENT_NAME.casefold():
        detail = f"{name} is the name of the key in the node's environment. Choose another name."
        errors.append(FieldError("name", detail))
    if errors:
        raise Invalid(*errors)
    return checked


def _email(value: str) -> str:
    """Raises ValueError. Nothing is sent there by us: it is for the admin who hands over the link."""
    address = text.one_line(value, EMAIL_MAX)
    local, at, host = address.rpartition("@")
    if not (local and at and host) or " " in address:
        raise ValueError(f"{text.shown(address)!r} is no e-mail address.")
    return address
