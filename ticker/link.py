"""Where a link leads. Knows URLs as browsers read them (WHATWG URL, by ada); knows nothing of lines.

Rule 1: a browser opens the host that an editor reads, or the link is refused with one sentence.
Rule 2: what is kept is what was given, letter for letter.
Why, and what else was weighed: docs/adr/0009-links.md.
"""

from __future__ import annotations

import string
import unicodedata

import ada_url
import regex

from ticker.text import shown

URL_MAX = 2_048  # characters; what every browser and proxy takes
HOST_MAX = 253  # characters; RFC 1035, section 2.3.4
LABEL_MAX = 63  # characters of one part of a host; the same
PORT_MAX = 65_535

# What a paste brings along around a link: spaces, and invisible characters that mean nothing there.
_AROUND = (
    string.whitespace
    + "\x1c\x1d\x1e\x1f\x85\u00a0\u00ad\u2028\u2029\u202f\u3000\ufeff\ufffc"
    + "".join(map(chr, (*range(0x2000, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070))))
)
_SCHEME = regex.compile(r"https?://", regex.I)
_NOT_PLAIN = regex.compile(r"[\s\p{C}\p{Default_Ignorable_Code_Point}\u2800\"<>\\^`{|}]")
_END_OF_AUTHORITY = regex.compile(r"[/?#]")
_IPV6 = regex.compile(r"\[[0-9A-Fa-f:.]{2,45}\]")
_PORT = regex.compile(r"[1-9][0-9]{0,4}")
_NOT_IN_A_NAME = regex.compile(r"[^a-z0-9_-]")

# A name in other letters than a–z keeps to one script, as registries want it (UTS #39). These are in everyday use.
_SCRIPTS = (
    *("Arabic Armenian Bengali Cyrillic Devanagari Ethiopic Georgian Greek Gujarati Gurmukhi Hebrew Kannada".split()),
    *("Khmer Lao Malayalam Myanmar Oriya Sinhala Tamil Telugu Thaana Thai Tibetan".split()),
)
# Letters that Latin alphabets have for themselves. IPA and small capitals look like others: ɢoogle.
_LATIN = (
    r"a-z\u00df-\u00f6\u00f8-\u0130\u0132-\u017e\u01a0\u01a1\u01af\u01b0\u01cd-\u01dc\u0218-\u021b\u0259\u1e00-\u1ef9"
)
_LABEL = regex.compile(
    rf"(?:[{_LATIN}0-9-]|(?<=l)\u00b7(?=l))+"
    r"|[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\u30fb\u30fc0-9-]+"
    r"|[\p{Script=Han}\p{Script=Hangul}0-9-]+|[\p{Script=Han}\p{Script=Bopomofo}0-9-]+"
    + "".join(rf"|[[\p{{scx={script}}}&&[\p{{L}}\p{{M}}]]0-9-]+" for script in _SCRIPTS),
    regex.V1,
)
# Words of nothing but these letters look like ASCII: аррӏе. In a domain of their own (.рф) they are read as they are.
_LATIN_TWINS = regex.compile(
    r"[асԁеһіїјӏорԛѕԝхуъьҽпгѵѡк0-9-]+|[αγικνορτυχωηε0-9-]+|[ագզէհյոսցքօլ0-9-]+|[ノソンー一丨丶0-9-]+"
)


def link(url: str) -> str:
    """An absolute http or https URL that names its host in plain sight. Raises ValueError with one sentence."""
    url = url.strip(_AROUND)
    if len(url) > URL_MAX:
        raise ValueError(f"The link has more than {URL_MAX} characters.")
    if found := _NOT_PLAIN.search(url):
        raise ValueError(
            f"Character {found.start() + 1} of the link (U+{ord(found[0]):04X}) is not allowed there: "
            "it must be percent-encoded, or left out."
        )
    if (scheme := _SCHEME.match(url)) is None:
        raise ValueError("The link must start with https:// or http://.")
    authority = _END_OF_AUTHORITY.split(url[scheme.end() :], maxsplit=1)[0]
    if "@" in authority:
        raise ValueError("The link has a user name before its host, which can mislead readers. Leave it out.")
    if "%" in authority:
        raise ValueError(
            "The link's host is percent-encoded, which hides the address that it opens. Write it in plain letters."
        )
    host, colon, port = authority, "", ""
    if ":" in authority.rpartition("]")[2]:  # not one of an IPv6 address
        host, colon, port = authority.rpartition(":")
    if colon and not (_PORT.fullmatch(port) and int(port) <= PORT_MAX):
        raise ValueError(f"The link's port is a number from 1 to {PORT_MAX}; without one, leave the colon out.")
    _check_host(host)
    try:
        opened = ada_url.URL(url).hostname
    except ValueError:
        raise ValueError(f"The link names no host that a browser can open: {shown(host)}.") from None
    _check_opened(host, opened)
    return url


def _check_host(host: str) -> None:
    """What can be said of a host as it is written. Raises ValueError."""
    if not host:
        raise ValueError("The link names no host. The host is the part between // and the next slash.")
    if host.startswith("["):
        if not _IPV6.fullmatch(host):
            raise ValueError("The link's host is not an IPv6 address, and brackets are only for those.")
        return
    labels = host.split(".")
    if "" in labels:
        raise ValueError("The link's host has an extra dot: two in a row, or one at the start or the end.")
    if len(host) > HOST_MAX or max(map(len, labels)) > LABEL_MAX:
        raise ValueError(
            f"The link's host is too long: {HOST_MAX} characters, and {LABEL_MAX} between dots, is the most."
        )


def _check_opened(host: str, opened: str) -> None:
    """Whether a browser opens the host that is read. Raises ValueError."""
    read = unicodedata.normalize("NFC", host.lower())
    if host.startswith("["):
        return
    if read != ada_url.idna_to_unicode(opened) and read != opened:
        raise ValueError(
            f"The link's host reads {shown(host)}, but browsers open {shown(opened)}. If you mean that host, write it "
            f"so."
        )
    *_, last = labels = read.split(".")
    for label in labels:
        if label.startswith("xn--"):
            name = ada_url.idna_to_unicode(label)
            if name.isascii() or ada_url.idna_to_ascii(name) != label.encode():
                raise ValueError(f"The link names no host that a browser can open: {shown(label)} is not a name.")
        elif label.isascii():
            if sign := _NOT_IN_A_NAME.search(label):
                raise ValueError(f"The link's host contains the character {sign[0]}, which is not allowed in a name.")
        elif not _LABEL.fullmatch(label):
            raise ValueError(
                f"The link's host can be read as another: {shown(label)} holds signs, or letters of several scripts. "
                f"If it is meant, write it as browsers do: {shown(opened)}."
            )
        elif last.isascii() and _LATIN_TWINS.fullmatch(label):
            raise ValueError(
                f"The link's host can be read as another: the letters of {shown(label)} look like Latin ones. "
                f"If it is meant, write it as browsers do: {shown(opened)}."
            )
