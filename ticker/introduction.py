"""What a node prints when it has started, and where its secrets go. Knows terminals and files.

Rule 1: a key or a sign-in link is printed to a terminal alone. Elsewhere standard output is a journal, which many may
        read: there they go into a file for this user alone, and it is said where.
Rule 2: a key that can't be put anywhere isn't made.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import click

from ticker.desk.keys import Keyring
from ticker.errors import Misconfigured
from ticker.settings import Settings

SOMEWHERE = "192.0.2.1"  # an address of nobody (RFC 5737): the way there leads through this machine's own address


async def introduce(settings: Settings, keyring: Keyring, *, demo: bool) -> None:
    """Print the node's address, and the first key if there was none. Raises Misconfigured."""
    file = None if settings.print_key or sys.stdout.isatty() else _beside(settings.newswire)
    if file and settings.admin_key is None and not await keyring.all():
        _keep(file, "")  # before a key is made that nobody would ever see
    token = await keyring.first()
    known = token or (settings.admin_key if demo else None)
    told, secret = [f"Ticker is on at {settings.public_url}"], []
    if token:
        secret += ["", "The first key, an admin's. It is shown this once; keep it:", f"  {token}"]
    if known:
        link = f"{settings.public_url}/desk#once={await keyring.one_time(known)}"
        secret += ["", "The desk, signed in (this link works once, within the hour):", f"  {link}"]
    if file and secret:
        _keep(file, "\n".join(secret).lstrip() + "\n")
        what = "The first key, and a link that signs in to the desk," if token else "A link that signs in to the desk"
        secret = ["", f"{what} {'are' if token else 'is'} in a file that this user alone can read:", f"  {file}"]
    told += secret
    if demo:
        told += ["", "The demo page, with the banner on it:", f"  {settings.public_url}/demo"]
        first = next(iter(settings.channels))
        told += ["", "Publish, and watch it:", f'  curl -H "Authorization: Bearer {"$KEY" if file else known}" \\']
        told += [f"    --data-urlencode 'text=Hello, readers' {settings.public_url}/v1/channels/{first}/lines"]
    click.echo("\n".join([*told, ""]))
    sys.stdout.flush()


def file_of(newswire: str) -> Path | None:
    """The file that a newswire's URL names; None where it is no file."""
    scheme, _, rest = newswire.partition(":///")
    return Path(rest) if scheme == "sqlite" and rest else None


def reachable(host: str) -> str:
    """What to write in an address so that it leads to a node that listens on `host`, from other machines where it
    can be reached from there."""
    if host in ("", "0.0.0.0", "::"):
        host = _own_address()
    return f"[{host}]" if ":" in host else host


def _own_address() -> str:
    """This machine's, as its network knows it. Nothing is sent: a UDP socket only asks which way it would take."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((SOMEWHERE, 9))
        except OSError:  # no network
            return "127.0.0.1"
        address: str = probe.getsockname()[0]
        return address


def _beside(newswire: str) -> Path:
    """The file for secrets: beside the newswire's file, else in the folder where the node was started."""
    kept = file_of(newswire) or Path("ticker")
    return (kept.parent / f"{kept.stem}-sign-in.txt").absolute()


def _keep(file: Path, words: str) -> None:
    """Anew, and from the start for this user alone. Raises Misconfigured."""
    try:
        file.unlink(missing_ok=True)
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as opened:
            opened.write(words)
    except OSError as error:
        raise Misconfigured(
            f"The first key can't be written to {file}: {error.strerror}. "
            "Start the node in a terminal or with --print-key, or set a key of your own in TICKER_ADMIN_KEY."
        ) from error
