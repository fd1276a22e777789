"""What editors send, made into structs: JSON, plain text, forms. Knows media types; knows no line's rules."""

from __future__ import annotations

import re
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from ticker.errors import FieldError, Invalid, Malformed, Refused, TooLarge, UnsupportedType

BODY_MAX = 65_536  # bytes; the longest line in the most wasteful encoding is a tenth of it
FIELDS_MAX = 32  # form fields; a line has eleven

T = TypeVar("T", bound=Struct)


async def body_of(request: Request, most: int = BODY_MAX) -> bytes:
    """The request's body, read once. Raises TooLarge as soon as it is more than `most` bytes."""
    if not hasattr(request, "_body"):
        chunks, size = [], 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > most:
                raise TooLarge(f"The body has more than {most} bytes. What is sent here needs far less.")
            chunks.append(chunk)
        request._body = b"".join(chunks)  # where Starlette keeps it for its form parser
    return request._body


async def sent(request: Request, kind: type[T]) -> T:
    """The body as a struct, from whichever media type a line may be sent in."""
    media_type, _, parameters = request.headers.get("content-type", "").partition(";")
    body = await body_of(request)
    match media_type.strip().lower():
        case "application/json" | "application/merge-patch+json":
            return _from_json(body, kind)
        case "text/plain":
            charset = parameters.lower().replace('"', "").replace(" ", "")
            if charset not in ("", "charset=utf-8", "charset=us-ascii", "format=flowed"):
                raise UnsupportedType("Plain text must be UTF-8: `Content-Type: text/plain; charset=utf-8`.")
            return _convert({"text": _decoded(body)}, kind)
        case "application/x-www-form-urlencoded":
            return _from_form(_pairs(body), body, kind)
        case "multipart/form-data":
            return _from_form(await _parts(request), body, kind)
        case "" if not body:
            raise Malformed("The request has no body. Send the text as text/plain, a form field or JSON.")
        case other:
            raise UnsupportedType(
                f"{other or 'A body without Content-Type'!s} is not taken here. Send text/plain, application/json, "
                "or a form with the field text."
            )


def _from_json(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise _invalid(error) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"The body is not JSON in UTF-8: {error}.") from error


def _pairs(body: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=FIELDS_MAX)
    except UnicodeDecodeError as error:
        raise Malformed("The form is not percent-encoded UTF-8. With curl, use --data-urlencode 'text=…'.") from error
    except ValueError as error:
        raise Malformed(f"The form has more than {FIELDS_MAX} fields.") from error


async def _parts(request: Request) -> list[tuple[str, str]]:
    _decoded(await body_of(request))  # files are refused, so all of it is text; the parser would guess Latin-1
    try:
        form = await request.form(max_files=0, max_fields=FIELDS_MAX)
    except HTTPException as error:
        raise Malformed(f"The form can't be read: {error.detail}") from error
    return [(name, value) for name, value in form.multi_items() if not isinstance(value, UploadFile)]


def _from_form(pairs: list[tuple[str, str]], body: bytes, kind: type[T]) -> T:
    """Form fields as JSON would have them: an empty field is one that was left alone."""
    fields: dict[str, Any] = {}
    names = [name for name, _ in pairs]
    if "text" not in names and "status" not in names and (not pairs or pairs[0][1] == ""):
        raise _words_without_a_name(body)
    for name, value in pairs:
        if names.count(name) > 1:
            raise Invalid(FieldError(name, "The form holds this field more than once."))
        if name == "pinned":
            fields[name] = value in ("true", "on", "1")
        elif name == "expires" and value in ("never", "null"):
            fields[name] = None
        elif name not in kind.__struct_fields__ and value == "":  # "salt & pepper" must not go out as "salt"
            hint = "An & in the text splits a form; with curl, use --data-urlencode 'text=…'."
            raise Invalid(FieldError(name or "(unnamed)", f"There is no field {name!r}. {hint}"))
        elif value != "":
            fields[name] = value
    return _convert(fields, kind)


def _words_without_a_name(body: bytes) -> Refused:
    """What `curl -d 'words'` gets: the command that does what was meant."""
    words = body[:200].decode("utf-8", "replace")
    if words.lstrip().startswith("{"):
        return Refused("This looks like JSON sent as a form. Add -H 'Content-Type: application/json'.")
    shown = words.replace("'", "'\\''")
    return Refused(
        f"The form has no field text. With curl: --data-urlencode 'text={shown}', "
        f"or -H 'Content-Type: text/plain' --data-binary '{shown}'."
    )


def _convert(fields: dict[str, Any], kind: type[T]) -> T:
    try:
        return msgspec.convert(fields, type=kind, strict=False)
    except msgspec.ValidationError as error:
        raise _invalid(error) from error


def _decoded(body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed(f"The text is not UTF-8: byte {error.start + 1} can't stand there.") from error


_AT = re.compile(r" - at `\$\.?([^`]*)`$")
_NAMED = re.compile(r"field `([^`]*)`")
_CHOICES = {
    "urgency": "It is one of flash, bulletin, urgent, update.",
    "status": "It is withheld or usable; to cancel for good, DELETE the line.",
    "direction": "It is ltr or rtl.",
    "role": "It is one of editor, chief, admin.",
    "expires": "It is a time such as 2026-05-04T16:30:00Z (RFC 3339), or null for never.",
    "expires_in": "It is a whole number of seconds.",
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
        detail = f"There is no field {field!r}." if unknown else f"The field {field} is needed."
        if unknown and field.strip() != field:
            detail += " An & in the text splits a form; with curl, use --data-urlencode 'text=…'."
    elif field in _CHOICES:
        detail = _CHOICES[field]
    else:
        detail = detail.replace("`", "") + "."
    return Invalid(FieldError(field, detail))
