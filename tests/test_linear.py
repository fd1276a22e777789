"""What a request costs before it is refused or taken: at most in proportion to its size, and never much.

Measured in the thread's own time, the least of several runs, so that other work on the machine counts little.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from tests.test_intake import FORM, part, request
from ticker.desk.intake import BODY_MAX, query_of, sent
from ticker.desk.keyring import KeyRequest
from ticker.desk.wishes import Cancellation
from ticker.errors import TickerError
from ticker.line import NewLine, Patch, checked
from ticker.settings import read_channels
from ticker.text import BYTES_PER_CHARACTER, SOURCE_MAX, TEXT_MAX, count, one_line

RUNS = 5
NOISE = 0.3e-3  # seconds; what takes less than this isn't compared
LONGEST = 20e-3  # seconds for which one request may hold the event loop
WITHIN_REACH = TEXT_MAX * BYTES_PER_CHARACTER  # bytes of the longest words that are looked at

# Each made for a rule: what it looks for, without end, or what it nearly finds. Cut to as many bytes as are asked for.
WORDS: dict[str, str] = {
    "letters": "a",
    "Arabic": "ا",
    "words": "rain ",
    "spaces": " ",
    "spaces of all kinds": " \t\u00a0\u3000\u2003\v",
    "line breaks": "\n",
    "separators": "\u2028",
    "controls": "\x07",
    "one mark": "\u0301",
    "letters with marks": "a" + "\u0301" * 15 + "\u0327" * 15,
    "marks of many classes": "\u0345\u0301\u0327\u0338\u0591",
    "marks that come apart": "\u0344",
    "flags": "🇯🇴",
    "regional indicators": "🇯",
    "skin tones": "\U0001f3fd",
    "families": "👩\u200d👩\u200d👧",
    "ZWJ": "\u200d",
    "ZWNJ and marks": "\u200c" + "\u0301" * 30,
    "ZWJ that is spelling": "क्\u200d",
    "selectors": "\ufe0f",
    "CGJ": "\u034f",
    "MVS": "\u180e",
    "soft hyphens": "\u00ad",
    "BOMs": "\ufeff",
    "LRM": "\u200e",
    "LRM between two directions": "א\u200e\u200e",
    "isolates that open": "\u2066",
    "isolates that close": "\u2069",
    "embeddings that open": "\u202a",
    "embeddings in isolates": "\u2066\u202a\u202a",
    "pairs": "\u2066\u202aa\u202c\u2069",
    "overrides": "\u202e",
    "tags": "\U000e0061",
    "flags that don't end": "\U0001f3f4\U000e0067\U000e0062",
    "annotations": "\ufff9",
    "jamo": "\u1100",
    "fillers": "\u3164",
    "slugs": "a-",
    "hyphens": "-",
    "tags of languages": "en-abcde-",
    "links": "https://",
    "hosts": "a.",
    "brackets": "[:",
    "user names": "@",
    "percent signs": "%",
    "hosts in other letters": "ж.",
    "quotes": '"',
    "backslashes": "\\",
    "ampersands": "&",
    "equals": "=",
    "backticks": "field `$.",
}
FIELDS = ["text", "source", "note", "url", "story", "language"]


def filled(piece: str, size: int) -> str:
    """Some `size` bytes, between letters, so that nothing is trimmed."""
    pieces = piece * (size // len(piece.encode()))
    return f"a{pieces}b"


def least(work: Callable[[], object]) -> float:
    """Seconds of this thread, in the fastest of some runs."""
    times = []
    for _ in range(RUNS):
        began = time.thread_time()
        with suppress(ValueError, TickerError):
            work()
        times.append(time.thread_time() - began)
    return min(times)


def assert_linear(work: Callable[[int], Callable[[], object]], size: int, longest: float = LONGEST) -> None:
    """Twice the input takes at most 2.5 times the time, and all of it at most `longest` seconds."""
    half, whole = work(size // 2), work(size)
    for _ in range(3):  # a machine that is busy just now is given another chance; a rule that is quadratic has none
        once, twice = least(half), least(whole)
        if twice < longest and twice <= 2.5 * max(once, NOISE):
            return
    pytest.fail(f"{once * 1e3:.2f} ms for {size // 2} bytes, {twice * 1e3:.2f} ms for {size}")


def work_on(given: Mapping[int, Any], work: Callable[[Any], object]) -> Callable[[int], Callable[[], object]]:
    """The work on what is given for each size."""
    return lambda size: partial(work, given[size])


@pytest.mark.parametrize("piece", WORDS.values(), ids=WORDS)
@pytest.mark.parametrize("field", FIELDS)
def test_every_rule_of_every_field_is_linear_for_both_doors(field: str, piece: str) -> None:
    before = {"url": "https://a", "language": "en-", "story": ""}.get(field, "")
    for kind in (NewLine, Patch):
        for size in (WITHIN_REACH - 20, BODY_MAX):
            texts = {n: before + filled(piece, n) for n in (size // 2, size)}
            fields: dict[int, dict[str, Any]] = {n: {"text": "Rain", field: value} for n, value in texts.items()}
            assert_linear(work_on({n: kind(**given) for n, given in fields.items()}, checked), size)


@pytest.mark.parametrize("piece", WORDS.values(), ids=WORDS)
def test_every_rule_is_linear_where_no_limit_comes_first(piece: str) -> None:
    """So that it stays so when a limit is raised. How long it takes says nothing: no request is so long."""
    texts = {n: filled(piece, n) for n in (8_192, 16_384)}
    assert_linear(lambda n: lambda: one_line(texts[n], 10**9), 16_384, longest=math.inf)
    assert_linear(lambda n: lambda: count(texts[n]), 16_384, longest=math.inf)


@pytest.mark.parametrize("piece", WORDS.values(), ids=WORDS)
def test_a_keys_name_and_a_channels_title_are_linear(piece: str) -> None:
    for size in (SOURCE_MAX * BYTES_PER_CHARACTER - 20, BODY_MAX):
        texts = {n: filled(piece, n) for n in (size // 2, size)}
        assert_linear(work_on(texts, lambda text: one_line(text, SOURCE_MAX)), size)


def test_a_file_of_settings_is_linear(tmp_path: Path) -> None:
    def reading(size: int) -> Callable[[], object]:
        path = tmp_path / f"{size}.toml"
        path.write_text(f'[channels.en]\ntitle = "{filled(" ", size)}"')
        return lambda: read_channels(path)

    assert_linear(reading, BODY_MAX)


# Bodies


def json_of(**fields: Any) -> bytes:
    return msgspec.json.encode(fields)


def of(piece: bytes, size: int, before: bytes = b"", after: bytes = b"") -> bytes:
    return before + piece * ((size - len(before) - len(after)) // len(piece)) + after


def numbered(template: str, size: int, before: bytes, after: bytes, between: bytes = b"") -> bytes:
    pieces: list[bytes] = []
    size -= len(before) + len(after)
    while size > 0 and len(pieces) < 20_000:
        pieces.append((template % len(pieces)).encode())
        size -= len(pieces[-1]) + len(between)
    return before + between.join(pieces[:-1]) + after


PARTS = "multipart/form-data; boundary=b"
DASHES = "-" * 60
BODIES: dict[str, tuple[str, Callable[[int], bytes]]] = {
    "JSON of many unknown fields": (
        "application/json",
        lambda n: numbered('"f%d":1', n, b'{"text":"a",', b"}", b","),
    ),
    "JSON of one field again and again": ("application/json", lambda n: of(b',"text":"a"', n, b'{"text":"a"', b"}")),
    "JSON that is deep": ("application/json", lambda n: of(b"[", n)),
    "JSON that is deep in a field": ("application/json", lambda n: of(b'{"a":', n, b'{"text":')),
    "JSON of spaces": ("application/json", lambda n: of(b" ", n, b"", b'{"text":"a"}')),
    "JSON of escapes": ("application/json", lambda n: of(b"\\u0301", n, b'{"text":"', b'"}')),
    "JSON of a number": ("application/json", lambda n: of(b"9", n, b'{"text":"a","expires_in":', b"}")),
    "JSON of a fraction": ("application/json", lambda n: of(b"9", n, b'{"text":"a","expires_in":0.', b"}")),
    "JSON of a time": ("application/json", lambda n: of(b"2", n, b'{"text":"a","expires":"', b'"}')),
    "JSON of a name": ("application/json", lambda n: of(b"x", n, b'{"text":"a","', b'":1}')),
    "JSON of a name of backticks": ("application/json", lambda n: of(b"field `", n, b'{"text":"a","', b'":1}')),
    "JSON of a choice": ("application/json", lambda n: of(b" - at `$", n, b'{"text":"a","urgency":"', b'"}')),
    "JSON of channels": ("application/json", lambda n: of(b'"a",', n, b'{"name":"a","channels":[', b'"a"]}')),
    "a form of many fields": (FORM, lambda n: numbered("f%d=1", n, b"text=a&", b"", b"&")),
    "a form of one field": (FORM, lambda n: of(b"text=a&", n)),
    "a form of ampersands": (FORM, lambda n: of(b"&", n)),
    "a form of equals": (FORM, lambda n: of(b"=", n, b"text")),
    "a form of plus": (FORM, lambda n: of(b"+", n, b"text=")),
    "a form of percent signs": (FORM, lambda n: of(b"%", n, b"text=")),
    "a form of wrong escapes": (FORM, lambda n: of(b"%zz", n, b"text=")),
    "a form of half characters": (FORM, lambda n: of(b"%C3", n, b"text=")),
    "a form of escapes": (FORM, lambda n: of(b"%CC%81", n, b"text=")),
    "a form of escapes between letters": (FORM, lambda n: of(b"%41a", n, b"text=")),
    "a form of a name": (FORM, lambda n: of(b"x", n, b"text=a&", b"=1")),
    "a form of words": (FORM, lambda n: of(b"it's ", n)),
    "parts": (
        PARTS,
        lambda n: numbered('--b\r\nContent-Disposition: form-data; name="%d"\r\n\r\nx\r\n', n, b"", b"--b--"),
    ),
    "parts without headers": (PARTS, lambda n: of(b"--b\r\n\r\n\r\n", n, b"", b"--b--")),
    "a part of near ends": (PARTS, lambda n: of(b"\r\n--", n, part("text", "")[:-2], b"\r\n--b--")),
    "a part of carriage returns": (PARTS, lambda n: of(b"\r", n, part("text", "")[:-2], b"\r\n--b--")),
    "a part of spaces": (PARTS, lambda n: of(b" ", n, part("text", "")[:-2], b"\r\n--b--")),
    "a part of nearly its boundary": (
        f"multipart/form-data; boundary={DASHES}b",
        lambda n: of(
            f"\r\n--{DASHES}".encode(), n, part("text", "").replace(b"--b", f"--{DASHES}b".encode())[:-2],
            f"\r\n--{DASHES}b--".encode(),
        ),
    ),
    "a part of headers": (PARTS, lambda n: of(b"a: b\r\n", n, part("text", "")[:-4], b"\r\nx\r\n--b--")),
    "a part of one header": (PARTS, lambda n: of(b"x", n, b"--b\r\nA: ", b"\r\n\r\nx\r\n--b--")),
    "parts of long headers": (
        PARTS,
        lambda n: numbered(
            '--b\r\nContent-Disposition: form-data; name="%d"' + ";" * 4_000 + "\r\n\r\nx\r\n", n, b"", b"--b--"
        ),
    ),
    "a part of line breaks": (PARTS, lambda n: of(b"\r\n", n, b"", b"--b--")),
    "plain text of spaces": ("text/plain", lambda n: of(b" ", n)),
    "plain text of half characters": ("text/plain", lambda n: of(b"\xc3\xa9", n, b"a", b"\xc3")),
}  # fmt: skip


@pytest.mark.parametrize("kind", [NewLine, Patch, Cancellation, KeyRequest])
@pytest.mark.parametrize("name", BODIES)
def test_every_body_is_read_or_refused_in_proportion_to_its_size(name: str, kind: type[Any]) -> None:
    media_type, body = BODIES[name]
    bodies = {n: body(n) for n in (BODY_MAX // 2, BODY_MAX)}
    assert all(n - 5_000 < len(whole) <= n for n, whole in bodies.items())

    def reading(size: int) -> Callable[[], object]:
        async def read() -> object:
            given = await sent(request(bodies[size], media_type), kind)
            if isinstance(given, NewLine):
                return checked(given)
            return checked(given) if isinstance(given, Patch) else given

        return lambda: asyncio.run(read())

    assert_linear(reading, BODY_MAX)


@pytest.mark.parametrize("piece", WORDS.values(), ids=WORDS)
def test_a_reason_in_a_query_is_linear(piece: str) -> None:
    def reading(size: int) -> Callable[[], object]:
        encoded = b"note=" + quote(filled(piece, size // 3)).encode()[: size - 5]

        def read() -> object:
            given: dict[str, Any] = query_of(request(b"", query=encoded), "note")
            return checked(Patch(**given))

        return read

    assert_linear(reading, BODY_MAX)


@pytest.mark.parametrize("piece", ["a=b;", ";", " ", '"', "\\", "a", ';a="\\', "/"])
def test_a_content_type_is_linear(piece: str) -> None:
    def reading(size: int) -> Callable[[], object]:
        return lambda: asyncio.run(sent(request(b"Rain", "text/plain;" + filled(piece, size)), NewLine))

    assert_linear(reading, BODY_MAX)
