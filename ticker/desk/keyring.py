"""Keys, made, listed and revoked by admins. What a key is and whether one is right: keys.py."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import asdict
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ticker import text
from ticker.desk.access import Access, idempotency_key
from ticker.desk.intake import query_of, sent
from ticker.desk.keys import Keyring
from ticker.desk.people import checked_identity
from ticker.desk.security_log import address_of
from ticker.errors import FieldError, Invalid
from ticker.fanout.relay import Relay
from ticker.http.answers import json_answer
from ticker.identity import ROLES, KeyInfo, Role, key_info
from ticker.newswire import Newswire


class KeyRequest(Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    role: Role = "editor"
    channels: tuple[str, ...] = ()
    owner: str | None = None
    person: str | None = None
    """The id of the person whose key it is."""


class Keys:
    def __init__(self, newswire: Newswire, relay: Relay, access: Access, keyring: Keyring) -> None:
        self._newswire = newswire
        self._channels = relay.channels
        self._access = access
        self._keyring = keyring

    def routes(self) -> list[Route]:
        return [
            Route("/v1/keys", self.make, methods=["POST"]),
            Route("/v1/keys", self.list),
            Route("/v1/keys/{key_id}", self.revoke, methods=["DELETE"]),
        ]

    async def make(self, request: Request) -> Response:
        admin = await self._access.admin(request)
        query_of(request)
        asked = await self._checked(await sent(request, KeyRequest))
        key, token = await self._keyring.make(
            asked.name,
            asked.role,
            asked.channels,
            owner=asked.owner,
            person_id=asked.person,
            by=admin,
            address=address_of(request),
            once=idempotency_key(request, admin, asked),
        )
        return json_answer({**asdict(key_info(key)), "key": token}, 201)

    async def _checked(self, asked: KeyRequest) -> KeyRequest:
        """With its words as they will be kept. Raises Invalid."""
        checked = KeyRequest(**checked_identity(asdict(asked), self._channels))
        if checked.person is None:
            return checked
        if checked.owner is not None:
            raise Invalid(FieldError("owner", "Name a person or an owner, not both."))
        person = await self._newswire.people.get(checked.person)
        if person is None or person.revoked is not None:
            raise Invalid(FieldError("person", f"There is no person {text.shown(checked.person)}."))
        if ROLES.index(checked.role) > ROLES.index(person.role):
            detail = f"{person.name} has the role {person.role}, and the key can't have a higher one."
            raise Invalid(FieldError("role", detail))
        return checked

    async def list(self, request: Request) -> Response:
        await self._access.admin(request)
        keys: list[KeyInfo] = [key_info(key) for key in await self._keyring.all()]
        return json_answer({"keys": keys})

    async def revoke(self, request: Request) -> Response:
        admin = await self._access.admin(request)
        query_of(request)
        revoked = await self._keyring.revoke(request.path_params["key_id"], by=admin, address=address_of(request))
        return json_answer(key_info(revoked))
