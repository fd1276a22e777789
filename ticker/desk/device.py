"""What a person calls the browser that they are signed in with. Pure; a User-Agent is a hint that anyone may forge."""

from __future__ import annotations

from typing import Final

AGENT_MAX = 512  # characters that are looked at; browsers send some 130

# The first that is named counts: Edge and Opera name Chrome too, Chrome names Safari, and Android names Linux.
_BROWSERS: Final = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS", "Firefox"),
    ("CriOS", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
)
_MACHINES: Final = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Macintosh", "Mac"),
    ("Linux", "Linux"),
)


def device_of(user_agent: str) -> str:
    """Such as "Firefox on Android": no version, nothing that tells one person's from another's. Empty if unknown."""
    agent = user_agent[:AGENT_MAX]
    browser = next((name for mark, name in _BROWSERS if mark in agent), "")
    machine = next((name for mark, name in _MACHINES if mark in agent), "")
    return f"{browser} on {machine}" if browser and machine else browser or machine
