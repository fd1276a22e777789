"""What editors send, made into structs: what is understood is taken, and what isn't is refused whole."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest
from starlette.requests import Request

from ticker.desk.intake import BODY_MAX, FIELDS_MAX, query_of, sent
from ticker.errors import Invalid, Malformed, Refused, TickerError, UnsupportedType
from ticker.line import NewLine, Patch, checked

BOM = b"\xef\xbb\xbf"
FORM = "application/x-www-form-urlencoded"
WORDS = "Ärger & عاجل + 100 %"


def request(body: bytes, *types: str, query: bytes = b"", **headers: str) -> Request:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    named = [*(("content-type", value) for value in types), *headers.items()]
    raw = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in named]
    return Request({"type": "http", "method": "POST", "path": "/", "query_string": query, "headers": raw}, receive)


def taken(body: bytes | str, *types: str, **headers: str) -> NewLine:
    body = body.encode() if isinstance(body, str) else body
    return checked(asyncio.run(sent(request(body, *types, query=b"", **headers), NewLine)))


def refused(body: bytes | str, *types: str, **headers: str) -> TickerError:
    with pytest.raises(TickerError) as error:
        taken(body, *types, **headers)
    assert len(error.value.detail) < 400
    return error.value


def fields_of(error: TickerError) -> list[str]:
    assert isinstance(error, Invalid)
    return [fault.field for fault in error.errors]


def part(name: str, value: str | bytes, *headers: str, disposition: str | None = None) -> bytes:
    value = value.encode() if isinstance(value, str) else value
    first = disposition or f'Content-Disposition: form-data; name="{name}"'
    return "\r\n".join(["--b", first, *headers, "", ""]).encode() + value + b"\r\n"


# Media types (RFC 9110, section 8.3.1)


@pytest.mark.parametrize(
    "media_type",
    [
        "text/plain",
        "TEXT/Plain",
        "text/plain; charset=utf-8; format=flowed",
        "text/plain; format=flowed; charset=utf-8; delsp=yes",
        'text/plain;FORMAT="flowed";Charset="UTF-8"',
        'text/plain ; charset="u\\tf-8"',
        "text/plain\t;\tcharset=UTF-8 ; ; x=1;",
        "text/plain;charset=us-ascii",
        "text/plain; charset=utf8",
        'text/plain; note="a; charset=latin-1"',
    ],
)
def test_parameters_are_taken_in_any_order_case_and_quotes(media_type: str) -> None:
    assert taken(WORDS, media_type).text == WORDS


@pytest.mark.parametrize(
    "media_type",
    [
        *(
            "text/plain; charset=latin-1",
            "text/plain; format=flowed; charset=iso-8859-1",
            'text/plain; charset="utf-16"',
        ),
        *("text/plain; charset=utf-8; charset=latin-1", "text/plain; charset", "text/plain; charset=", "text/plain, x"),
        *('text/plain; charset="utf-8', "text/plain; charset = utf-8", "text", "text/", "text/html", "*/*"),
        *("multipart/form-data; boundary=b; charset=utf-16", f"{FORM}; charset=latin-1", "text/plain" + ";a=b" * 999),
    ],
    ids=lambda given: given[:40],
)
def test_another_type_or_charset_is_refused(media_type: str) -> None:
    assert refused(b"text=Rain", media_type).status in (400, 415)


def test_two_content_types_are_refused() -> None:
    assert isinstance(refused(b"Rain", "text/plain", "application/json"), Malformed)


def test_an_encoded_body_is_refused_as_such() -> None:
    assert isinstance(refused(b"Rain", "text/plain", content_encoding="gzip"), UnsupportedType)
    assert taken(b"Rain", "text/plain", content_encoding="identity").text == "Rain"


@pytest.mark.parametrize("media_type", ["text/plain", "application/json", "application/merge-patch+json"])
def test_a_byte_order_mark_is_taken(media_type: str) -> None:
    body = WORDS if media_type == "text/plain" else json.dumps({"text": WORDS})
    assert taken(BOM + body.encode(), media_type).text == WORDS


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_json_in_another_unicode_is_refused(encoding: str) -> None:
    assert refused(json.dumps({"text": "Rain"}).encode(encoding), "application/json").status == 400


# JSON


@pytest.mark.parametrize(
    "body",
    [
        '{"text": "Rain", "text": "Snow"}',
        '{"text": "Rain", "text": "Rain"}',
        '{"text": "Rain", "t\\u0065xt": "Snow"}',
        '{"text": "Rain"' + ', "text": "Rain"' * 3_000 + "}",
    ],
    ids=lambda given: given[:40],
)
def test_a_key_that_comes_twice_is_named(body: str) -> None:
    assert fields_of(refused(body, "application/json")) == ["text"]


@pytest.mark.parametrize(
    "body",
    [
        *('{"text": ' + "[" * 60_000, "[" * 60_000, '{"text": "a", "x": ' + '{"a":' * 10_000, '{"a":' * 12_000),
        *(
            '{"text": "a"} {"text": "b"}',
            '{"text": "a"},',
            "{'text': 'a'}",
            '{"text": "a", "expires_in": NaN}',
            "",
            "nul",
        ),
        '{"text": "a", "expires_in": ' + "9" * 60_000 + "}",
        '{"text": "a", "' + "x" * 60_000 + '": 1}',
        '{"text": "a", "urgency": "' + "x" * 60_000 + '"}',
        '{"text": "a", "\\u202e\\u0007": 1}',
    ],
    ids=lambda given: given[:40],
)
def test_json_that_cant_be_read_is_refused_in_a_short_sentence(body: str) -> None:
    error = refused(body, "application/json")
    assert error.status in (400, 422)
    assert error.detail.isprintable()


# Forms


@pytest.mark.parametrize("value", ["true", "on", "1"])
def test_pinned_may_be_said_as_a_form_says_it(value: str) -> None:
    assert taken(f"text=Rain&pinned={value}", FORM).pinned is True


@pytest.mark.parametrize("value", ["false", "off", "0", ""])
def test_not_pinned_may_be_said_too(value: str) -> None:
    assert taken(f"text=Rain&pinned={value}", FORM).pinned is False


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("pinned", value) for value in ("banana", "True", "TRUE", "yes", "2", " true", "null", "01", "+1")),
        *(("expires", value) for value in ("2026123123", "1798761599", "1e9", "tomorrow", "2026-12-31", "-1", "None")),
        *(
            ("expires_in", value)
            for value in ("60.0", "1e3", "0x10", "+60", " 60", "060", "6_0", "٦٠", "true", "1" * 30)
        ),
        *(("urgency", value) for value in ("Flash", "breaking", " flash")),
        *(("direction", value) for value in ("LTR", "up")),
    ],
)
def test_a_value_that_isnt_understood_is_refused_and_named(field: str, value: str) -> None:
    assert fields_of(refused(urlencode({"text": "Rain", field: value}), FORM)) == [field]


def test_a_forms_time_and_number_are_read_as_json_would_have_them() -> None:
    assert taken("text=Rain&expires=2030-01-01T00:00:00Z", FORM).expires == datetime(2030, 1, 1, tzinfo=UTC)
    assert taken("text=Rain&expires=never", FORM).expires is None
    assert taken("text=Rain&expires_in=60", FORM).expires_in == 60


@pytest.mark.parametrize(
    "form",
    [
        *(
            "text=Salt&source",
            "text=Salt&",
            "text=Salt&&source=AP",
            "&text=Salt",
            "text=Salt& pepper",
            "text=A&B&url=x",
        ),
        *(
            "source&text=Rain",
            "text=Salt&text",
            "text=R%26D&note",
            "text=Rain&=x",
            "text=Rain&s%C3%B6=x",
        ),
    ],
)
def test_an_ampersand_that_cuts_the_words_is_refused(form: str) -> None:
    assert isinstance(refused(form, FORM), Invalid)


@pytest.mark.parametrize("form", ["text=Rain\r\n", "text=Rain\n", "text=%52ain", "t%65xt=Rain", "text=+Rain+"])
def test_a_form_may_end_in_a_line_break_and_escape_what_it_wants(form: str) -> None:
    assert taken(form, FORM).text == "Rain"


def test_a_percent_sign_that_escapes_nothing_stands_for_itself() -> None:
    """WHATWG URL, section 1.3."""
    assert taken("text=100% of 5%zz %4", FORM).text == "100% of 5%zz %4"


def test_as_many_fields_as_a_form_may_have_are_looked_at_and_no_more() -> None:
    assert fields_of(refused("&".join(f"f{n}=x" for n in range(FIELDS_MAX)), FORM)) == ["f0"]
    assert isinstance(refused("&".join(f"f{n}=" for n in range(FIELDS_MAX + 1)), FORM), Malformed)


def test_the_words_of_a_form_without_a_field_are_only_repeated_where_they_can_be_copied() -> None:
    assert "text=Rain in the north'" in refused("Rain in the north", FORM).detail
    for words in ("x" * 65, "Rain\x1b[2J", "Rain\x07", "x" * 60_000):
        error = refused(words, FORM)
        assert isinstance(error, Refused)
        assert error.detail.isprintable()
        assert len(error.detail) < 300


# Multipart


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ("Content-Type: text/plain",),
        ('Content-Type: Text/Plain; Charset="UTF-8"',),
        ("Content-Transfer-Encoding: 8BIT", "Content-Type: text/plain; charset=utf-8"),
    ],
)
def test_a_part_may_say_that_it_is_plain_text(headers: tuple[str, ...]) -> None:
    body = part("text", WORDS, *headers) + part("pinned", "true") + b"--b--\r\n"
    line = taken(body, "multipart/form-data; boundary=b")
    assert (line.text, line.pinned) == (WORDS, True)


def test_words_that_look_like_a_boundary_are_words() -> None:
    assert taken(part("text", "--b" * 90) + b"--b--", "multipart/form-data; boundary=b").text == "--b" * 90


@pytest.mark.parametrize("charset", ["utf-8", "us-ascii", "ascii", "utf8"])
def test_the_words_of_parts_are_read_as_utf_8(charset: str) -> None:
    body = part("text", WORDS) + b"--b--"
    assert taken(body, f'multipart/form-data; charset={charset}; boundary="b"').text == WORDS


@pytest.mark.parametrize(
    "body",
    [
        part("text", "UmFpbg==", "Content-Transfer-Encoding: base64") + b"--b--",
        part("text", "Rain=20", "Content-Transfer-Encoding: quoted-printable") + b"--b--",
        part("text", "Rain", "Content-Type: text/plain; charset=latin-1") + b"--b--",
        part("text", "<b>Rain</b>", "Content-Type: text/html") + b"--b--",
        part("text", "Rain", "Content-Type: text/plain", "Content-Type: text/plain") + b"--b--",
        part("text", "Rain", "X: " + "y" * 4_000) + b"--b--",
        part("text", "Rain", *("X: y",) * 4_000) + b"--b--",
        part("text", "Rain", disposition="Content-Disposition: form-data") + b"--b--",
        part("text", "Rain", disposition='Content-Disposition: form-data; name="text"; filename="a.txt"') + b"--b--",
        part("text", "Rain", disposition='Content-Disposition: form-data; name="text"' + ";" * 4_000) + b"--b--",
        part("text", "Rain"),
        part("text", "Rain") + b"--b",
        part("text", "Rain") + part("expires_in", "60")[:-12],
        part("text", "Rain") + b"--b--\r\n" + part("pinned", "true"),
        b"words before" + part("text", "Rain") + b"--b--",
        b"".join(part(f"f{n}", "x") for n in range(FIELDS_MAX + 1)) + b"--b--",
        b"--b--",
        b"",
    ],
    ids=range(18),
)
def test_parts_that_would_be_read_wrongly_or_not_at_all_are_refused(body: bytes) -> None:
    assert refused(body, "multipart/form-data; boundary=b").status in (400, 422)


@pytest.mark.parametrize("boundary", ["", '""', "b" * 71, '"b\\"c"', "ü", '"b "'])
def test_a_boundary_that_no_standard_has_is_refused(boundary: str) -> None:
    assert refused(part("text", "Rain") + b"--b--", f"multipart/form-data; boundary={boundary}").status in (400, 415)


# Queries


def query(encoded: bytes, *names: str) -> dict[str, str]:
    return query_of(request(b"", query=encoded), *names)


def test_a_query_gives_the_names_that_are_asked_for() -> None:
    assert query(b"", "note") == {}
    assert query(b"note=A+mistake", "note") == {"note": "A mistake"}
    assert query(b"note=caf%C3%A9%20%26", "note") == {"note": "café &"}


@pytest.mark.parametrize(
    "encoded", [b"note=caf%E9", b"note=%FF", b"note=%ED%A0%80", "note=café".encode(), "note=café".encode("latin-1")]
)
def test_a_query_that_is_not_percent_encoded_utf_8_is_refused(encoded: bytes) -> None:
    with pytest.raises(Malformed):
        query(encoded, "note")


@pytest.mark.parametrize(
    "encoded",
    [b"notes=x", b"note=x&n=y", b"Note=x", b"note", b"note=x&", b"note=Salt&pepper", b"note=a&note=b", b"x" * 60_000],
)
def test_a_query_that_isnt_understood_whole_is_refused_and_named(encoded: bytes) -> None:
    with pytest.raises(Invalid) as error:
        query(encoded, "note")
    assert len(error.value.detail) < 300


def test_a_query_of_a_request_that_takes_none_is_refused() -> None:
    assert query(b"") == {}
    with pytest.raises(Invalid, match="takes none"):
        query(b"note=x")


@pytest.mark.parametrize("encoded", [b"&" * 60_000, b"a=b&" * 15_000, b"x" * (BODY_MAX + 1)])
def test_a_query_of_too_much_is_refused_unread(encoded: bytes) -> None:
    with pytest.raises(Malformed):
        query(encoded, "note")


def test_a_patch_is_read_by_the_same_rules() -> None:
    patch = asyncio.run(sent(request(BOM + b'{"note": null, "pinned": false}', "application/merge-patch+json"), Patch))
    assert patch == Patch(note=None, pinned=False)
