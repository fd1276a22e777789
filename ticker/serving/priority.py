"""Who sends a request, judged by its head: which credential it has, and whether it signs in. Knows the paths."""

from __future__ import annotations

from typing import NamedTuple

from ticker.http.head import Head

SESSION = "/desk/session"  # to see it needs a good key, too
SIGN_INS = frozenset(
    (SESSION, "/desk/passkey/options", "/desk/passkey", "/desk/invitation/options", "/desk/invitation")
)
CHANGES = frozenset((b"POST", b"PATCH", b"PUT", b"DELETE"))  # under these, they need a key or a session
SIGNED_IN = ("/v1/", "/desk/touch", "/desk/passkeys")


class Claim(NamedTuple):
    """What a request says for itself before it is begun."""

    credential: bytes
    needs_it: bool
    """Whether the answer can only be a good one if the credential is."""
    signs_in: bool


def claim_of(head: Head) -> Claim:
    named = head.named
    is_session = head.path == SESSION
    return Claim(
        credential=named.get(b"authorization") or named.get(b"cookie", b""),
        needs_it=(head.method in CHANGES and head.path.startswith(SIGNED_IN)) or (is_session and head.method == b"GET"),
        signs_in=head.path in SIGN_INS,
    )
