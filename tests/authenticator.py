"""An authenticator in software, for tests that need answers which no browser's would give: what a phone would do with
the options of `navigator.credentials`, right or wrong in one thing."""

from __future__ import annotations

import hashlib
import json
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

Object = dict[str, Any]
PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40  # flags of authenticator data


def encoded(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Authenticator:
    """With one credential, made by `create`."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.id = os.urandom(16)
        self.count = 0
        self.user = b""

    def create(self, options: Object, **wrong: Any) -> Object:
        """The answer to creation options; `wrong` as for `get`."""
        self.user = decoded(options["user"]["id"])
        numbers = self.key.public_key().public_numbers()
        public = {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32), -3: numbers.y.to_bytes(32)}
        attested = bytes(16) + len(self.id).to_bytes(2) + self.id + cbor2.dumps(public)
        data = self._data(options["rp"]["id"], ATTESTED, wrong) + attested
        return self._answer(
            {
                "clientDataJSON": self._client_data("webauthn.create", options, wrong),
                "attestationObject": encoded(cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})),
                "transports": ["internal", "hybrid"],
            }
        )

    def get(self, options: Object, **wrong: Any) -> Object:
        """The answer to request options. `wrong`: `origin`, `rp`, `challenge`, `flags`, `user` or `count` in place of
        the right ones; `signature` for a key of somebody else's."""
        self.count = wrong.get("count", self.count + 1)
        data = self._data(options["rpId"], 0, wrong)
        client_data = self._client_data("webauthn.get", options, wrong)
        key = ec.generate_private_key(ec.SECP256R1()) if wrong.get("signature") else self.key
        signed = key.sign(data + hashlib.sha256(decoded(client_data)).digest(), ec.ECDSA(hashes.SHA256()))
        return self._answer(
            {
                "clientDataJSON": client_data,
                "authenticatorData": encoded(data),
                "signature": encoded(signed),
                "userHandle": encoded(wrong.get("user", self.user)),
            }
        )

    def _data(self, rp: str, flags: int, wrong: Object) -> bytes:
        flags |= wrong.get("flags", PRESENT | VERIFIED)
        return hashlib.sha256(wrong.get("rp", rp).encode()).digest() + bytes([flags]) + self.count.to_bytes(4)

    def _client_data(self, kind: str, options: Object, wrong: Object) -> str:
        said = {
            "type": kind,
            "challenge": wrong.get("challenge", options["challenge"]),
            "origin": wrong.get("origin", self.origin),
            "crossOrigin": False,
        }
        return encoded(json.dumps(said).encode())

    def _answer(self, response: Object) -> Object:
        return {
            "id": encoded(self.id),
            "rawId": encoded(self.id),
            "type": "public-key",
            "clientExtensionResults": {},
            "authenticatorAttachment": "platform",
            "response": response,
        }
