"""Keys, made, listed and revoked by admins. What a key is and whether one is right: keys.py."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import asdict
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ticker import text
from ticker.channel import no_such_channel
from ticker.desk.access import Access, idempotency_key
from ticker.desk.intake import query_of, sent
from ticker.desk.keys import Keyring
from ticker.desk.security_log import address_of
from ticker.errors import FieldError, Invalid
from ticker.fanout.relay import Relay
from ticker.http.answers import json_answer
from ticker.identity import ENVIRONMENT_NAME, KeyInfo, Role, key_info


class KeyRequest(Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    role: Role = "editor"
    channels: tuple[str, ...] = ()
    owner: str | None = None


class Keys:
    def __init__(self, relay: Relay, access: Access, keyring: Keyring) -> None:
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
        asked = self._checked(await sent(request, KeyRequest))
        key, token = await self._keyring.make(
            asked.name,
            asked.role,
            asked.channels,
            owner=asked.owner,
            by=admin,
            address=address_of(request),
            once=idempotency_key(request, admin, asked),
        )
        return json_answer({**asdict(key_info(key)), "key": token}, 201)

    def _checked(self, asked: KeyRequest) -> KeyRequest:
        """With its names as they will be kept. Channels that would not limit the key are refused. Raises Invalid."""
        errors = []
        if asked.role in ("chief", "admin") and asked.channels:
            detail = f"The role {asked.role} has access to every channel. Name no channel, or make it an editor's key."
            errors.append(FieldError("channels", detail))
        elif unknown := set(asked.channels) - self._channels.keys():
            errors.append(FieldError("channels", no_such_channel(min(unknown), self._channels)))
        elif len(set(asked.channels)) < len(asked.channels):
            errors.append(FieldError("channels", "A channel is named more than once."))
        names = {"name": asked.name, "owner": asked.owner}
        for field, value in names.items():
            try:
                names[field] = None if value is None else text.one_line(value, text.SOURCE_MAX)
            except ValueError as broken:
                errors.append(FieldError(field, str(broken)))
        name = names["name"] or ""
        if name.casefold() == ENVIRONMENT_NAME.casefold():
            errors.append(
                FieldError("name", f"{name} is the name of the key in the node's environment. Choose another name.")
            )
        if errors:
            raise Invalid(*errors)
        return KeyRequest(name, asked.role, asked.channels, names["owner"])

    async def list(self, request: Request) -> Response:
        await self._access.admin(request)
        keys: list[KeyInfo] = [key_info(key) for key in await self._keyring.all()]
        return json_answer({"keys": keys})

    async def revoke(self, request: Request) -> Response:
        admin = await self._access.admin(request)
        query_of(request)
        revoked = await self._keyring.revoke(request.path_params["key_id"], by=admin, address=address_of(request))
        return json_answer(key_info(revoked))
