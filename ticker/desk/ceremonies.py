"""The ceremonies of passkeys (W3C Web Authentication, level 3): what browsers are asked, and whether what they answer
is right. Knows the library and challenges; knows no route, and keeps no person.

Rule 1: a challenge is ours, for one purpose, some minutes old at most, and used once. Making one costs the newswire
        nothing, for strangers may ask for as many as they like; only one that was answered rightly is kept, as used.
Rule 2: the person was verified by their device (a finger, a face, a PIN), or it is no sign-in.
"""

from __future__ import annotations

import asyncio
import binascii
import hashlib
import hmac
import json
import logging
import secrets
from base64 import urlsafe_b64decode
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec import UNSET, Struct, UnsetType
from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import bytes_to_base64url
from webauthn.helpers.cose import COSEAlgorithmIdentifier
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from ticker.desk.origins import Origin
from ticker.errors import Refused
from ticker.identity import Passkey, Person
from ticker.newswire import Newswire

CHALLENGE_FOR = 300  # seconds: to find the phone, and to unlock it
SECRET_FOR = 365 * 86_400  # seconds that the secret behind challenges is kept; then there is another one
SECRET_KNOWN_FOR = 60.0  # seconds that a node goes by the one it knows
ID_MAX = 1_400  # characters; a credential id has 1,023 bytes at most
TRANSPORTS_MAX = 8
ALGORITHMS = [  # what every authenticator has at least one of
    COSEAlgorithmIdentifier.ECDSA_SHA_256,
    COSEAlgorithmIdentifier.EDDSA,
    COSEAlgorithmIdentifier.RSASSA_PKCS1_v1_5_SHA_256,
]
_NONCE, _MS, _MAC = 16, 8, 32  # bytes

WRONG = "The passkey was not accepted. Try again, or use another one."

log = logging.getLogger("ticker.desk")


class NotRight(Exception):
    """An answer that isn't right. `why` is a word for the log."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Attested(Struct, frozen=True, rename="camel"):
    client_data_json: str = msgspec.field(name="clientDataJSON")
    attestation_object: str
    transports: tuple[str, ...] = ()


class Registered(Struct, frozen=True, rename="camel"):
    """A RegistrationResponseJSON: what `PublicKeyCredential.toJSON()` gives after `create()`. The rest is ignored."""

    id: str
    raw_id: str
    type: Literal["public-key"]
    response: Attested


class Asserting(Struct, frozen=True, rename="camel"):
    client_data_json: str = msgspec.field(name="clientDataJSON")
    authenticator_data: str
    signature: str
    user_handle: str | UnsetType | None = UNSET


class Asserted(Struct, frozen=True, rename="camel"):
    """An AuthenticationResponseJSON: the same after `get()`."""

    id: str
    raw_id: str
    type: Literal["public-key"]
    response: Asserting


class ClientData(Struct, frozen=True):
    """A CollectedClientData, as far as it is looked at before the library does."""

    challenge: str


_client_data = msgspec.json.Decoder(ClientData).decode


class Use(NamedTuple):
    """A passkey that was used rightly, and what its counter shows now."""

    passkey: Passkey
    sign_count: int


class Ceremonies:
    """`origin` is where browsers find this node; its host is the relying party."""

    def __init__(self, newswire: Newswire, origin: Origin) -> None:
        self._newswire = newswire
        self._origin = origin
        self._secret = b""
        self._known_until = float("-inf")

    def expect_possible(self) -> None:
        """Raises Refused if browsers make no passkeys at our address."""
        if not self._origin.may_have_passkeys:
            raise Refused(f"Browsers make no passkeys at {self._origin}: they need https, and a host with a name.")

    # What is asked

    async def to_register(self, person: Person, purpose: str) -> dict[str, Any]:
        """PublicKeyCredentialCreationOptionsJSON."""
        options = generate_registration_options(
            rp_id=self._origin.host,
            rp_name="Ticker",
            user_id=person.id.encode(),
            user_name=person.name,
            user_display_name=person.name,
            challenge=await self._challenge(purpose),
            timeout=CHALLENGE_FOR * 1_000,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED,
                require_resident_key=True,
                user_verification=UserVerificationRequirement.REQUIRED,
            ),
            exclude_credentials=_descriptors(person.passkeys),
            supported_pub_key_algs=ALGORITHMS,
        )
        return _json(options_to_json(options))

    async def to_sign_in(self, purpose: str, passkeys: tuple[Passkey, ...] = ()) -> dict[str, Any]:
        """PublicKeyCredentialRequestOptionsJSON. With no passkeys, the browser offers what it has for this place."""
        options = generate_authentication_options(
            rp_id=self._origin.host,
            challenge=await self._challenge(purpose),
            timeout=CHALLENGE_FOR * 1_000,
            allow_credentials=_descriptors(passkeys),
            user_verification=UserVerificationRequirement.REQUIRED,
        )
        return _json(options_to_json(options))

    # What is answered

    async def registered(self, answer: Registered, purpose: str, name: str, by: Literal["link", "session"]) -> Passkey:
        """The new passkey. Raises NotRight."""
        challenge = await self._ours(answer.response.client_data_json, purpose)
        try:
            verified = verify_registration_response(
                credential=msgspec.to_builtins(answer),
                expected_challenge=challenge,
                expected_rp_id=self._origin.host,
                expected_origin=str(self._origin),
                require_user_verification=True,
                supported_pub_key_algs=ALGORITHMS,
            )
        except Exception as error:  # the library's own, and what CBOR and keys of strangers bring about beside them
            log.debug("A passkey was not registered: %s", error)
            raise NotRight("wrong") from error
        await self._use_up(challenge)
        known = {each.value for each in AuthenticatorTransport}
        now = self._newswire.now()
        return Passkey(
            id=bytes_to_base64url(verified.credential_id),
            name=name,
            public_key=verified.credential_public_key,
            sign_count=verified.sign_count,
            created=now,
            last_used=now,
            by=by,
            transports=tuple(each for each in answer.response.transports[:TRANSPORTS_MAX] if each in known),
        )

    async def expect_ours(self, answer: Asserted, purpose: str) -> None:
        """Before anything is looked up: raises NotRight unless the challenge is ours."""
        await self._ours(answer.response.client_data_json, purpose)

    async def used(self, answer: Asserted, purpose: str, person: Person) -> Use:
        """The person's passkey that was used, and its counter. Raises NotRight."""
        challenge = await self._ours(answer.response.client_data_json, purpose)
        passkey = next((each for each in person.passkeys if each.id == answer.id), None)
        if passkey is None:
            raise NotRight("unknown")
        try:
            verified = verify_authentication_response(
                credential=msgspec.to_builtins(answer),
                expected_challenge=challenge,
                expected_rp_id=self._origin.host,
                expected_origin=str(self._origin),
                credential_public_key=passkey.public_key,
                credential_current_sign_count=0,  # `Roster.used` looks at it, in the step that keeps it
                require_user_verification=True,
            )
        except Exception as error:
            log.debug("A passkey was not accepted: %s", error)
            raise NotRight("wrong") from error
        await self._use_up(challenge)
        return Use(passkey, verified.new_sign_count)

    # Challenges

    async def _challenge(self, purpose: str) -> bytes:
        made = int(self._newswire.now().timestamp() * 1_000).to_bytes(_MS) + secrets.token_bytes(_NONCE)
        return made + self._seal(await self._known_secret(), made, purpose)

    def _seal(self, secret: bytes, made: bytes, purpose: str) -> bytes:
        return hmac.new(secret, made + purpose.encode(), hashlib.sha256).digest()

    async def _ours(self, client_data: str, purpose: str) -> bytes:
        """The challenge in a collectedClientData. Raises NotRight if it isn't one of ours for this, or too old."""
        try:
            challenge = _from_base64url(_client_data(_from_base64url(client_data)).challenge)
        except (ValueError, msgspec.MsgspecError) as error:
            raise NotRight("malformed") from error
        made, seal = challenge[: _MS + _NONCE], challenge[_MS + _NONCE :]
        if not hmac.compare_digest(self._seal(await self._known_secret(), made, purpose), seal):
            raise NotRight("challenge")
        age = self._newswire.now().timestamp() - int.from_bytes(made[:_MS]) / 1_000
        if not -CHALLENGE_FOR < age < CHALLENGE_FOR:
            raise NotRight("late")
        return challenge

    async def _use_up(self, challenge: bytes) -> None:
        """Raises NotRight if it was used before, on any node."""
        name = f"challenge:{hashlib.sha256(challenge).hexdigest()}"
        if not await self._newswire.secrets.keep_first(name, b"", 2 * CHALLENGE_FOR):
            raise NotRight("used")

    async def _known_secret(self) -> bytes:
        """What all nodes make challenges with."""
        now = asyncio.get_running_loop().time()
        if now >= self._known_until:
            secret = await self._newswire.secrets.get("challenges")
            if secret is None:
                secret = secrets.token_bytes(32)
                if not await self._newswire.secrets.keep_first("challenges", secret, SECRET_FOR):
                    secret = await self._newswire.secrets.get("challenges") or secret
            self._secret, self._known_until = secret, now + SECRET_KNOWN_FOR
        return self._secret


def person_of(answer: Asserted) -> str:
    """The id of the person whose passkey it says it is. Raises NotRight."""
    handle = answer.response.user_handle
    try:
        return _from_base64url(handle if isinstance(handle, str) else "").decode("ascii")
    except ValueError as error:
        raise NotRight("malformed") from error


def _from_base64url(text: str) -> bytes:
    """Raises ValueError."""
    try:
        return urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except binascii.Error as error:
        raise ValueError(str(error)) from error


def _descriptors(passkeys: tuple[Passkey, ...]) -> list[PublicKeyCredentialDescriptor]:
    return [
        PublicKeyCredentialDescriptor(
            id=_from_base64url(each.id), transports=[AuthenticatorTransport(name) for name in each.transports]
        )
        for each in passkeys
    ]


def _json(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)
    return found
