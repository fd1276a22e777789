"""What our scripts and the server say alike: the shape of a line and of a frame, and which way a language runs."""

from __future__ import annotations

import json
import re
import subprocess
import types
from datetime import datetime
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from msgspec import Struct, UnsetType

from tests.conftest import ROOT
from tests.patience import WITHIN
from ticker import text
from ticker.channel import Direction
from ticker.fanout.frames import BeatObject, BoardObject, LineObject
from ticker.line import Line, Status, Urgency

WEB = ROOT / "web"
TYPES = (WEB / "ticker.d.ts").read_text("utf-8")
LITERALS = {Urgency: "Urgency", Status: "Status", Direction: "Direction"}
PLAIN = {str: "string", int: "number", bool: "boolean", datetime: "string", type(None): "null", Line: "Line"}
TOMBSTONES_LACK = {"corrected"}  # the banner takes it out of them


def interface(name: str) -> dict[str, str]:
    """Fields of an interface in ticker.d.ts with their types; a name that may be absent ends with `?`."""
    (body,) = re.findall(rf"^export interface {name} {{\n(.*?)^}}", TYPES, re.S | re.M)
    return dict(re.findall(r"^  (\w+\??): ([^;]+);", body, re.M))


def in_typescript(hint: Any) -> str:
    if hint in LITERALS:
        return LITERALS[hint]
    if get_origin(hint) in (Union, types.UnionType):
        return " | ".join(in_typescript(each) for each in get_args(hint) if each is not UnsetType)
    if get_origin(hint) is tuple:
        return in_typescript(get_args(hint)[0]) + "[]"
    return PLAIN[hint]


def expected(struct: type[Struct]) -> dict[str, str]:
    tag = struct.__struct_config__.tag
    fields = {} if tag is None else {"type": f'"{tag}"'}
    for name, hint in get_type_hints(struct).items():
        optional = UnsetType in get_args(hint) or name in TOMBSTONES_LACK
        fields[f"{name}?" if optional else name] = in_typescript(hint)
    return fields


@pytest.mark.parametrize(
    ("name", "struct"),
    [("Line", Line), ("BoardFrame", BoardObject), ("LineFrame", LineObject), ("BeatFrame", BeatObject)],
)
def test_the_types_for_scripts_are_what_the_server_sends(name: str, struct: type[Struct]) -> None:
    assert interface(name) == expected(struct)


@pytest.mark.parametrize("literal", LITERALS, ids=LITERALS.values())
def test_the_types_for_scripts_have_the_same_words(literal: Any) -> None:
    assert get_origin(literal) is Literal
    (words,) = re.findall(rf"^export type {LITERALS[literal]} = ([^;]+);", TYPES, re.M)
    assert [json.loads(word) for word in words.split(" | ")] == list(get_args(literal))


def test_widget_and_desk_have_no_type_of_a_line_of_their_own() -> None:
    """They take it from ticker.d.ts, and tsc checks what they do with it (`make check`)."""
    for path in [*(WEB / "widget").glob("*.js"), *(WEB / "desk").glob("*.js")]:
        script = path.read_text("utf-8")
        for defined in re.findall(r"@typedef \{([^@]*?)\} (?:Line|BoardFrame|LineFrame|BeatFrame)\b", script):
            assert defined.startswith("import("), path


TAGS = """en EN-us ar AR ar-Latn az az-Arab azb uz-Arab-AF pa pa-Arab pnb he iw yi fa-IR fas ur ur-Latn ks ks-Deva sd
sd-Deva ckb-IQ dv-MV ps ug-CN nqo rhg-Rohg syr arab x-arab zh-Hant sr-Cyrl de-1901 ber-Tfng ar- a""".split()


@pytest.mark.parametrize("script", ["widget/direction.js", "desk/language.js"])
def test_scripts_know_which_way_a_language_runs_from_the_server_s_table(script: str) -> None:
    source = (WEB / script).read_text("utf-8")
    tables = [set(codes.split()) for codes in re.findall(r'"((?:[a-z]{2,4} ){9,}[a-z]{2,4})"', source)]
    assert tables == [text._RTL_SCRIPTS, text._RTL_LANGUAGES]
    ask = (
        f"import({json.dumps((WEB / script).as_uri())}).then(({{ directionOf }}) => "
        "console.log(JSON.stringify(JSON.parse(process.argv[1]).map(directionOf))))"
    )
    asked = ["node", "--no-warnings", "--eval", ask, json.dumps(TAGS)]
    answer = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=WITHIN).stdout
    assert json.loads(answer) == ["rtl" if text.is_right_to_left(tag) else "ltr" for tag in TAGS]
