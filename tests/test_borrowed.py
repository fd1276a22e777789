"""What we lean on of uvicorn, Starlette and h11 though they don't promise it, and why.

A new version of theirs that changes one of these fails here, with the reason beside it, before it fails in a way
that is hard to read. What we lean on and isn't listed fails, too.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Any

import h11
import pytest
import uvicorn
from starlette.formparsers import MultiPartParser, MultipartPart
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

from tests.conftest import ROOT
from ticker.desk.intake import _PartsParser
from ticker.http.security import Preflights
from ticker.serving import node
from ticker.serving.exchange import Exchange, Parser

THEIRS = ("uvicorn", "starlette", "h11")

OVERRIDDEN: dict[type, tuple[type, dict[str, str]]] = {
    Exchange: (
        H11Protocol,
        {
            "connection_made": "it registers itself in `connections`, where its owner stands in its place",
            "send_400_response": "what h11 can't read is refused in our words, by the connection's owner",
            "on_response_complete": "an answer is whole: the owner goes on to the next request",
            "_unsupported_upgrade_warning": "an upgrade that we don't do is nothing for the log",
        },
    ),
    Parser: (
        h11.Connection,
        {
            "next_event": "why a request can't be read is kept for the refusal",
            "send": "an answer's head waits for its body, and says when it is the last one",
        },
    ),
    node._Server: (
        uvicorn.Server,
        {
            "shutdown": "readers are sent elsewhere before the server stops",
            "capture_signals": "signals are not raised again at the end: the newswire is still to be closed",
        },
    ),
    _PartsParser: (
        MultiPartParser,
        {
            "on_headers_finished": "what a part's header says is seen to before the part is read",
        },
    ),
    Preflights: (
        CORSMiddleware,
        {
            "preflight_response": "a refusal is a problem, as all of ours are",
            "simple_response": "other answers are the same for every origin",
        },
    ),
}

USED: dict[type, dict[str, str]] = {
    H11Protocol: {
        "conn": "a parser of ours takes its place for each request",
        "cycle": "whether its answer has begun, and is whole",
        "flow": "whether its client reads",
        "connections": "the owner is in it, the exchange isn't",
        "server_state": "requests are counted there",
        "handle_events": "what was given to the parser is worked on",
        "pause_writing": "the owner's transport is full",
        "resume_writing": "and isn't any more",
        "connection_lost": "the owner's transport is gone",
    },
    RequestResponseCycle: {
        "response_started": "an answer that has begun can only be broken off",
        "response_complete": "the next request may begin",
        "disconnected": "whoever works on the answer finds its client gone",
        "message_event": "and is woken for that",
    },
    FlowControl: {"write_paused": "whether the client reads what it was answered"},
    ServerState: {
        "connections": "uvicorn calls `shutdown` of each when it stops, and waits until they are gone",
        "tasks": "uvicorn waits for those when it stops",
        "total_requests": "each answer is counted",
    },
    uvicorn.Server: {
        "handle_exit": "the signals lead there",
        "serve": "with a socket that is bound already",
    },
    h11.Connection: {
        "our_state": "whether the connection may be used again",
        "their_state": "whether the request is there to its last byte",
        "trailing_data": "what follows the request",
        "receive_data": "what there is of it",
    },
    MultiPartParser: {
        "_current_part": "the part whose header has been read",
    },
    MultipartPart: {
        "item_headers": "the fields of that header",
    },
    h11.RemoteProtocolError: {"error_status_hint": "which refusal it deserves"},
}

PRIVATE = {"request._body": "Starlette reads a request's body from there if it has been read already"}
"""Names with an underscore that are somebody else's, as they stand in our code."""

KEPT_BY_US = {"os._exit": "documented in spite of its name"}


def has(kind: type) -> set[str]:
    """The names that an object of this class has: what its classes define, and what they assign to `self`."""
    names = set(dir(kind)) | set(getattr(kind, "__dataclass_fields__", ()))
    for each in kind.__mro__[:-1]:
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(each)))
        except (OSError, TypeError):  # not written in Python
            continue
        names |= {
            attribute.attr
            for attribute in ast.walk(tree)
            if isinstance(attribute, ast.Attribute)
            and isinstance(attribute.ctx, ast.Store)
            and isinstance(attribute.value, ast.Name)
            and attribute.value.id == "self"
        }
    return names


@pytest.mark.parametrize("ours", OVERRIDDEN)
def test_what_we_put_in_the_place_of_theirs_is_there(ours: type) -> None:
    theirs, reasons = OVERRIDDEN[ours]
    for name, reason in reasons.items():
        assert hasattr(theirs, name), f"{theirs.__name__}.{name} is gone: {reason}"
        taken, given = (list(inspect.signature(getattr(kind, name)).parameters) for kind in (ours, theirs))
        assert taken == given, f"{theirs.__name__}.{name} is called otherwise: {reason}"


@pytest.mark.parametrize("ours", OVERRIDDEN)
def test_what_we_put_in_the_place_of_theirs_is_listed(ours: type) -> None:
    theirs, reasons = OVERRIDDEN[ours]
    own = {name for name in vars(ours) if not name.startswith("__")}
    assert own & has(theirs) == reasons.keys(), "one that isn't listed may have come to them since: is it meant?"


@pytest.mark.parametrize("theirs", USED)
def test_what_we_use_of_theirs_is_there(theirs: type) -> None:
    names = has(theirs)
    for name, reason in USED[theirs].items():
        assert name in names, f"{theirs.__name__}.{name} is gone: {reason}"


def test_a_protocol_is_made_as_uvicorn_makes_one() -> None:
    """`http=` takes anything that can be called with these."""
    made: list[dict[str, Any]] = []
    config = uvicorn.Config("ticker:app", http=lambda **given: made.append(given), ws="none")  # type: ignore[arg-type]
    source = inspect.getsource(uvicorn.Server.startup)
    assert {"config=", "server_state=", "app_state="} <= set(re.findall(r"\b\w+=", source))
    assert config.http is not None
    assert not isinstance(config.http, str)
    config.http(config=config, server_state=ServerState(), app_state={})  # type: ignore[call-arg]
    assert made[0].keys() == {"config", "server_state", "app_state"}


async def test_a_body_that_was_read_is_read_by_starlette_from_where_we_keep_it() -> None:
    async def nothing() -> Any:
        raise AssertionError("the body is asked for again")

    request = Request({"type": "http", "method": "POST", "headers": []}, nothing)
    request._body = b"text=a"
    assert await anext(aiter(request.stream())) == b"text=a", PRIVATE["request._body"]


def sources() -> Iterator[tuple[str, ast.AST]]:
    for path in sorted((ROOT / "ticker").rglob("*.py")):
        yield str(path.relative_to(ROOT)), ast.parse(path.read_text("utf-8"))


def test_every_class_of_theirs_that_we_build_on_is_listed() -> None:
    found = set()
    for path, tree in sources():
        theirs = {
            alias.asname or alias.name
            for part in ast.walk(tree)
            if isinstance(part, ast.Import | ast.ImportFrom)
            for alias in part.names
            if (getattr(part, "module", None) or alias.name).partition(".")[0] in THEIRS
        }
        for each in (part for part in ast.walk(tree) if isinstance(part, ast.ClassDef)):
            if any(ast.unparse(base).partition(".")[0] in theirs for base in each.bases):
                found.add((path, each.name))
    listed = {(f"{ours.__module__.replace('.', '/')}.py", ours.__name__) for ours in OVERRIDDEN}
    assert found == listed


def test_every_private_name_of_others_is_listed() -> None:
    found = set()
    for path, tree in sources():
        if path.startswith("ticker/newswire/"):
            continue  # a newswire's room has the private names of its own parts
        for each in (part for part in ast.walk(tree) if isinstance(part, ast.Attribute)):
            mine = isinstance(each.value, ast.Name) and each.value.id in ("self", "cls")
            if re.match(r"_[a-z]", each.attr) and not mine and isinstance(each.value, ast.Name):
                found.add(ast.unparse(each))
    assert found == PRIVATE.keys() | KEPT_BY_US.keys()
