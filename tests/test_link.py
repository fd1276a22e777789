"""Where a link leads: what a browser would open elsewhere than an editor reads is refused."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticker.link import URL_MAX, link


@pytest.mark.parametrize(
    "url",
    [
        "https://news.example/a?b=c&d=%20#e",
        "http://news.example:8080/",
        "https://[2001:db8::1]:443/x",
        "https://[::ffff:192.0.2.1]/",
        "https://192.0.2.1:80/",
        "HTTPS://NEWS.EXAMPLE",
        "https://пример.example/путь",
        "https://ПРИМЕР.example",
        "https://аррӏе.рф",  # in a domain of its own letters it reads as what it is
        "https://straße.example",
        "https://Zürich.example",
        "https://cafe\u0301.example",
        "https://col·legi.cat",
        "https://موقع.مصر/العربية",
        "https://אתר2.example",
        "https://ドメイン・名.jp",
        "https://中国1.cn",
        "https://한국.kr",
        "https://हिन्दी.भारत",
        "https://ไทย.ไทย",
        "https://νέα.gr",
        "https://xn--80ak6aa92e.com",  # in these letters it is read as browsers open it
        "https://XN--FIQS8S.cn",
        "https://news.example/user@place",
        "https://news.example?@other.example",
        "https://news.example#@other.example",
        "https://news.example/%zz",
        "https://my_page.example",
        "https://localhost",
        "https://" + "a." * 122 + "example",
    ],
)
def test_a_link_that_opens_what_is_read_is_kept_as_it_is(url: str) -> None:
    assert link(url) == url


@pytest.mark.parametrize("around", [" ", "\n", "\t", "\ufeff", "\u200b", "\u202a", "\u00a0", "\u200e", "\u2060"])
def test_what_a_paste_brings_along_around_a_link_is_taken_off(around: str) -> None:
    assert link(f"{around}https://news.example/{around}{around}") == "https://news.example/"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        *((url, "https://") for url in ("", "news.example/a", "//news.example/a", "ftp://news.example/", "data:,x")),
        *((url, "https://") for url in ("javascript:alert(1)", "https:news.example", "https:/news.example", "https")),
        *((url, "names no host") for url in ("https://", "https:///path", "https://:443/", "https://?a", "https://#")),
        # Signs that browsers drop, or read as others
        *((url, "percent-encoded") for url in ("java\nscript:alert(1)", "https://news.exa\tmple/", "https://a/ b")),
        *((url, "percent-encoded") for url in ("https://news.example\\@evil.example/", "https:\\\\evil.example")),
        *(
            (f"https://news.example/{sign}a", "percent-encoded")
            for sign in '"<>^`{|}\x00\u202e\u00ad\u200b\u2028\ufff9'
        ),
        ("https://news.example/\U000e0041a", "U\\+E0041"),
        ("https://نامه\u200cای.example", "U\\+200C"),
        # User names, ports
        *((f"https://{name}@evil.example/", "user name") for name in ("news.example", "a:b", "", "news.example:443")),
        *(
            (f"https://news.example:{port}/", "port")
            for port in ("0", "99999", "65536", "port", "", "0443", "-1", "٤٤٣")
        ),
        *((f"https://[::1]:{port}/", "port") for port in ("0", "x")),
        # Percent-encoded hosts
        *(
            (f"https://{host}", "percent-encoded")
            for host in ("good.com%2eevil.com", "%00", "%67ood.com", "[fe80::1%25e]")
        ),
        # Dots
        *(
            (f"https://{host}/", "extra dot")
            for host in ("good.com.", "good..com", ".good.com", "192.0.2.1.", ".", "..")
        ),
        # Addresses in other figures
        *((f"https://{host}/", "browsers open 127.0.0.1") for host in ("127.1", "0x7f.1", "2130706433", "0177.0.0.1")),
        *((f"https://{host}/", "browsers open 127.0.0.1") for host in ("0x7F000001", "127.0.0.01", "①②⑦.0.0.1")),
        *((f"https://{host}/", "browsers open 0.0.0.0") for host in ("0", "0x", "00.0.0.0")),
        *((f"https://{host}/", "can open") for host in ("256.0.0.1", "1.2.3.4.5", "good.1", "0xg.1", "[192.0.2.1]")),
        *((f"https://{host}/", "IPv6") for host in ("[::1", "[good.com]", "[]", "[::1]a")),
        # Letters that are read as others
        *(
            (f"https://{host}/", "browsers open good.com")
            for host in ("ＧＯＯＤ.com", "good。com", "good．com", "gooⅾ.com")
        ),
        ("https://news．example／evil", "browsers|can open"),
        *((f"https://{host}/", "can be read as another") for host in ("good.com∕evil.com", "good.com⁄evil.com")),
        *((f"https://{host}/", "can be read as another") for host in ("good.comノevil.jp", "good.com丶evil.com")),
        *((f"https://{host}/", "can be read as another") for host in ("good.com\u0338evil.com", "good.comǀevil.com")),
        *(
            (f"https://{host}/", "can be read as another")
            for host in ("аpple.com", "gοοgle.com", "ɢoogle.com", "ɑpple.com")
        ),
        *((f"https://{host}/", "can be read as another") for host in ("i❤.ws", "e·vil.cat", "٪.com", "ıstanbul.tr")),
        *((f"https://{host}/", "look like Latin") for host in ("аррӏе.com", "ѕсоре.com", "www.рауха.com", "ο.com")),
        *(
            (f"https://{host}/", "can open|is not a name")
            for host in ("xn--", "xn--a.com", "xn--99999999.com", "אa.com")
        ),
        *(
            (f"https://{host}/", "which is not allowed in a name")
            for host in ("*", "*.good.com", "good.com;evil.com", "a&b", "~", "a,b", "'")
        ),
        # Length
        ("https://news.example/" + "a" * URL_MAX, "2048 characters"),
        ("https://" + "a" * 64 + ".com", "too long"),
        ("https://" + "a." * 130 + "com", "too long"),
    ],
    ids=lambda given: ascii(given)[:48],
)
def test_a_link_that_could_mislead_is_refused_in_a_sentence(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as refused:
        link(url)
    assert len(str(refused.value)) < 400
    assert str(refused.value).endswith(".")


def test_a_host_that_is_refused_is_told_as_browsers_write_it_and_that_is_taken() -> None:
    with pytest.raises(ValueError, match=r"xn--80ak6aa92e\.com"):
        link("https://аррӏе.com/")
    assert link("https://xn--80ak6aa92e.com/")


def test_a_link_may_be_as_long_as_the_limit() -> None:
    url = "https://news.example/".ljust(URL_MAX, "a")
    assert link(url) == url


@given(st.text(st.characters(exclude_categories=()), max_size=30), st.sampled_from(["", "https://", "https://a.com"]))
def test_what_is_kept_would_be_kept_again(rest: str, before: str) -> None:
    with contextlib.suppress(ValueError):
        kept = link(before + rest)
        assert link(kept) == kept
