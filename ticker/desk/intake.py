"""What editors send, made into structs: JSON, plain text, forms, queries. Knows media types; knows no line's rules.

Rule 1: a request that isn't understood completely is refused. No part of a request that changes something is ignored.
Rule 2: what the standards say is the same is taken as the same: case, order, quotes, a byte order mark.
Rule 3: sizes are judged before the work.
"""

from __future__ import annotations

import binascii
import codecs
import json
import re
from collections import Counter
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from starlette.datastructures import Headers
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from ticker.errors import FieldError, Invalid, Malformed, Refused, TooLarge, UnsupportedType
from ticker.text import ECHO_MAX, shown

BODY_MAX = 65_536  # bytes; the longest line in the most wasteful encoding is a tenth of it
FIELDS_MAX = 32  # form fields; a line has eleven
HEADER_MAX = 512  # characters of one that says what is sent; a boundary has 70 at most

T = TypeVar("T", bound=Struct)

# RFC 9110, sections 5.6.2, 5.6.4 and 5.6.6.
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER = re.compile(rf'[ \t]*;[ \t]*(?:({_TOKEN})=(?:({_TOKEN})|"((?:[^"\\]|\\.)*)"))?')
_MEDIA_TYPE = re.compile(rf"[ \t]*({_TOKEN}/{_TOKEN})")
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")  # RFC 2046, section 5.1.1
_ESCAPES = re.compile(rb"(?:%[0-9A-Fa-f]{2})+")
_UTF_8 = ("utf-8", "utf8", "us-ascii", "ascii")
_FIELD_HINT = "An & in the text splits a form; with curl, use --data-urlencode 'text=…'."


async def body_of(request: Request, most: int = BODY_MAX) -> bytes:
    """The request's body, read once. Raises TooLarge as soon as it is more than `most` bytes."""
    if not hasattr(request, "_body"):
        chunks, size = [], 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > most:
                raise TooLarge(f"The body has more than {most} bytes, which is the limit.")
            chunks.append(chunk)
        request._body = b"".join(chunks)  # where Starlette keeps it for its form parser
    return request._body


async def sent(request: Request, kind: type[T]) -> T:
    """The body as a struct, from any media type in which a line may be sent."""
    media_type, parameters = _media_type(request)
    body = await body_of(request)
    match media_type:
        case "application/json" | "application/merge-patch+json":
            return _from_json(body.removeprefix(codecs.BOM_UTF8), kind)  # RFC 8259, section 8.1
        case "text/plain":
            _in_utf_8(parameters)
            return _convert({"text": _decoded(body)}, kind)
        case "application/x-www-form-urlencoded":
            _in_utf_8(parameters)
            return _from_form(_split(body.rstrip(b"\r\n"), "form"), body, kind)
        case "multipart/form-data":
            _in_utf_8(parameters)
            return _from_form(await _parts(request, parameters), body, kind)
        case "" if not body:
            raise Malformed("The request has no body. Send the text as text/plain, a form field or JSON.")
        case other:
            raise UnsupportedType(
                f"{shown(other) or 'A body without Content-Type'} is not accepted here. "
                "Send text/plain, application/json, or a form with the field text."
            )


def query_of(request: Request, *names: str) -> dict[str, str]:
    """The query of a request that changes something. Raises Malformed, or Invalid for what isn't one of `names`."""
    query: dict[str, str] = {}
    for name, value in _split(request.scope.get("query_string", b""), "query"):
        if name not in names:
            taken = f"It takes {', '.join(names)}." if names else "It takes none."
            raise Invalid(FieldError(shown(name), f"This request takes no {shown(name)!r} in its query. {taken}"))
        if value is None or name in query:
            raise Invalid(FieldError(name, f"The query contains {name} more than once, or without a value."))
        query[name] = value
    return query


def _media_type(request: Request) -> tuple[str, dict[str, str]]:
    """The body's media type and its parameters, both in lower case but for the values (RFC 9110, section 8.3.1)."""
    given = request.headers.getlist("content-type")
    if len(given) > 1:
        raise Malformed("The request has more than one Content-Type.")
    coding = ", ".join(request.headers.getlist("content-encoding")).strip().lower()
    if coding not in ("", "identity"):
        raise UnsupportedType(
            f"A body in the encoding {shown(coding)!r} is not accepted here. Send it without a content encoding."
        )
    if not given or not given[0].strip():
        return "", {}
    return _parsed(given[0])


def _parsed(header: str) -> tuple[str, dict[str, str]]:
    header = header.rstrip(" \t")
    found = _MEDIA_TYPE.match(header) if len(header) <= HEADER_MAX else None
    if found is None:
        raise UnsupportedType(f"{shown(header)!r} is not a media type. Send text/plain, application/json or a form.")
    media_type, at, parameters = found[1].lower(), found.end(), dict[str, str]()
    while at < len(header):
        if (parameter := _PARAMETER.match(header, at)) is None:
            raise UnsupportedType(f"The parameters of Content-Type can't be read: {shown(header[at:])!r}.")
        at = parameter.end()
        if name := (parameter[1] or "").lower():
            value = parameter[2] if parameter[3] is None else re.sub(r"\\(.)", r"\1", parameter[3])
            if parameters.setdefault(name, value) != value:
                raise UnsupportedType(f"Content-Type names {shown(name)} twice.")
    return media_type, parameters


def _in_utf_8(parameters: dict[str, str]) -> None:
    if parameters.get("charset", "utf-8").lower() not in _UTF_8:
        raise UnsupportedType("Text must be UTF-8: `Content-Type: text/plain; charset=utf-8`.")


def _from_json(body: bytes, kind: type[T]) -> T:
    try:
        given = msgspec.json.decode(body, type=kind)
        # The decoder takes the last of two equal keys; which was meant, nobody knows. Numbers stay as they are written.
        _STRICT.decode(body.decode())
    except msgspec.ValidationError as error:
        raise _invalid(error) from error
    except RecursionError as error:
        raise Malformed("The JSON is nested too deep. A line is one flat object.") from error
    except (msgspec.DecodeError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise Malformed(f"The body is not JSON in UTF-8: {shown(str(error))}.") from error
    return given


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        name = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise Invalid(FieldError(shown(name), f"The JSON contains {shown(name)} more than once."))
    return members


_STRICT = json.JSONDecoder(object_pairs_hook=_each_once, parse_int=str, parse_float=str)


def _split(encoded: bytes, what: str) -> list[tuple[str, str | None]]:
    """Names and values of a form or query (WHATWG URL, section 5.1); None for a name without "=". Raises Malformed."""
    if len(encoded) > BODY_MAX or encoded.count(b"&") >= FIELDS_MAX:
        raise Malformed(f"The {what} has more than {FIELDS_MAX} fields.")
    try:
        encoded.decode("ascii")
        pairs = [piece.partition(b"=") for piece in encoded.split(b"&")] if encoded else []
        return [(_unquoted(name), _unquoted(value) if equals else None) for name, equals, value in pairs]
    except UnicodeDecodeError as error:
        hint = "With curl, use --data-urlencode 'text=…'."
        raise Malformed(f"The {what} is not percent-encoded UTF-8. {hint}") from error


class _PartsParser(MultiPartParser):
    """Starlette's, but nothing that a part says of itself is passed over."""

    def on_headers_finished(self) -> None:
        if any(len(value) > HEADER_MAX for _, value in self._current_part.item_headers):
            raise MultiPartException("A part's header is too long.")
        headers = {name: value.decode("utf-8").lower() for name, value in self._current_part.item_headers}
        if len(headers) < len(self._current_part.item_headers):
            raise MultiPartException("A part has a header twice.")
        if headers.get(b"content-transfer-encoding", "8bit").strip() not in ("7bit", "8bit", "binary"):
            raise MultiPartException("A part has a Content-Transfer-Encoding. Send the text itself (RFC 7578, 4.7).")
        if b"content-type" in headers:
            media_type, parameters = _parsed(headers[b"content-type"])
            if media_type != "text/plain" or parameters.get("charset", "utf-8") not in _UTF_8:
                raise MultiPartException("A part is not plain text in UTF-8.")
        super().on_headers_finished()


def _unquoted(piece: bytes) -> str:
    """As urllib's unquote_plus, but in a third of the time: 64 kB of % took it 24 ms. Raises UnicodeDecodeError."""
    return _ESCAPES.sub(
        lambda found: binascii.unhexlify(found[0].replace(b"%", b"")), piece.replace(b"+", b" ")
    ).decode()


async def _parts(request: Request, parameters: dict[str, str]) -> list[tuple[str, str | None]]:
    body = await body_of(request)
    _decoded(body)  # files are refused, so all of it is text; the parser would guess Latin-1
    boundary = parameters.get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        raise Malformed("The form's Content-Type must name a boundary (RFC 2046, section 5.1.1).")
    if not (b"\r\n" + body.rstrip(b"\r\n \t")).endswith(f"\r\n--{boundary}--".encode()):
        raise Malformed("The form ends too early, or something follows its end.")
    if (b"\r\n" + body).count(f"\r\n--{boundary}".encode()) > FIELDS_MAX + 1:
        raise Malformed(f"The form has more than {FIELDS_MAX} fields.")
    headers = Headers({"content-type": f'multipart/form-data; boundary="{boundary}"'})
    try:
        form = await _PartsParser(headers, request.stream(), max_files=0, max_fields=FIELDS_MAX).parse()
    except MultiPartException as error:
        raise Malformed(f"The form can't be read: {error.message}") from error
    return [(name, str(value)) for name, value in form.multi_items()]


def _from_form(pairs: list[tuple[str, str | None]], body: bytes, kind: type[T]) -> T:
    """Form fields as JSON would have them: an empty field is one that was left alone."""
    fields: dict[str, Any] = {}
    names = [name for name, _ in pairs]
    if "text" in kind.__struct_fields__ and not {"text", "status"} & set(names) and (not pairs or not pairs[0][1]):
        raise _words_without_a_name(body)
    for name, value in pairs:
        at = shown(name) or "(unnamed)"
        if value is None:  # browsers and libraries always write "="; "salt&source" must not go out as "salt"
            raise Invalid(FieldError(at, f"The form contains {at!r} without a value. {_FIELD_HINT}"))
        if names.count(name) > 1:
            raise Invalid(FieldError(at, "The form contains this field more than once."))
        if name not in kind.__struct_fields__:
            hint = f" {_FIELD_HINT}" if value == "" or name.strip() != name else ""
            raise Invalid(FieldError(at, f"There is no field {at!r}.{hint}"))
        if value != "":
            fields[name] = _typed(name, value)
    return _convert(fields, kind)


_BOOLEANS = {"true": True, "on": True, "1": True, "false": False, "off": False, "0": False}
_DECIMAL = re.compile(r"(?:0|[1-9][0-9]{0,9})\.[0-9]{1,6}")
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")  # as JSON writes it


def _typed(name: str, value: str) -> object:
    """A form's words as JSON's values, where a field isn't words. What can't be read so, the decoder refuses."""
    if name in ("pinned", "refile"):
        return _BOOLEANS.get(value, value)
    if name == "expires" and value in ("never", "null"):
        return None
    if name in ("expires_in", "publish_in", "version") and _INTEGER.fullmatch(value):
        return int(value)
    if name == "publish_in" and _DECIMAL.fullmatch(value):
        return float(value)
    if name in ("confirm", "channels"):
        return value.split(",")
    return value


def _words_without_a_name(body: bytes) -> Refused:
    """What `curl -d 'words'` gets: the command that does what was meant."""
    words = body[: 4 * ECHO_MAX].decode("utf-8", "replace")
    if words.lstrip("\ufeff \t\r\n").startswith("{"):
        return Refused("This looks like JSON sent as a form. Add -H 'Content-Type: application/json'.")
    if len(words) > ECHO_MAX or not words.isprintable():  # a command that can't be copied, or must not be
        words = "…"
    words = words.replace("'", "'\\''")
    return Refused(
        f"The form has no field text. With curl: --data-urlencode 'text={words}', "
        f"or -H 'Content-Type: text/plain' --data-binary '{words}'."
    )


def _convert(fields: dict[str, Any], kind: type[T]) -> T:
    try:
        return msgspec.convert(fields, type=kind)
    except msgspec.ValidationError as error:
        raise _invalid(error) from error


def _decoded(body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed(f"The text is not UTF-8: byte {error.start + 1} is not allowed there.") from error


_AT = re.compile(r" - at `\$\.?([^`]*)`$")
_NAMED = re.compile(r"field `([^`]*)`")
_CHOICES = {
    "urgency": "It is one of flash, bulletin, urgent, update.",
    "status": "It is withheld or usable; to cancel for good, DELETE the line.",
    "direction": "It is ltr or rtl.",
    "role": "It is one of contributor, editor, chief, admin.",
    "pinned": "It is true or false.",
    "expires": "It is a time such as 2026-05-04T16:30:00Z (RFC 3339), or null for never.",
    "expires_in": "It is a whole number of seconds.",
    "publish_at": "It is a time such as 2026-05-04T16:30:00Z (RFC 3339).",
    "publish_in": "It is a number of seconds.",
    "refile": "It is true or false.",
    "version": "It is a whole number.",
    "on_brake": "It is refuse or draft.",
    "confirm": 'It is a list of names, such as ["marker"].',
}


def _invalid(error: msgspec.ValidationError) -> Invalid:
    """The decoder's complaint, in our words, at the field that it is about."""
    message = str(error)
    at = _AT.search(message)
    field = at[1] if at else ""
    detail = _AT.sub("", message)
    if named := _NAMED.search(detail):
        field = named[1] or "(unnamed)"
        unknown = "unknown" in detail
        detail = f"There is no field {shown(field)!r}." if unknown else f"The field {shown(field)} is needed."
    elif field in _CHOICES:
        detail = _CHOICES[field]
    else:
        detail = shown(detail.replace("`", "")) + "."
    return Invalid(FieldError(shown(field), detail))
