"""Attacks a node with nothing but its address, while 500 readers read and an editor publishes and corrects.

    python -m tests.attack [--quick] [--only 'A|B'] [--seconds 2] [--readers 500]

Each attack runs in a process of its own (`attacker`); what it does is in `floods`, `holds`, `requests`, `frames` and
`questions`, written with what a stranger can do with connections (`stranger`). Readers have a process too (`readers`),
and so has the editor (`editor`). This process looks at the node from outside (`watch`, `world`) and judges (`verdict`).
All attacks end by themselves, and go nowhere but to 127.0.0.1.
"""

from __future__ import annotations

ADMIN_KEY = "an-admin-key-for-attacks-of-at-least-32-characters"
CHANNEL = "en"
CONFIG = "[channels.en]\nlanguage = 'en'\n[channels.ar]\nlanguage = 'ar'\n"
WORD = "attack-"
"""Stands in each line before a number that no other line has."""

LATE = 0.1  # seconds from the editor's POST to the last reader
SERVED_WITHIN = 5.0  # seconds in which an editor is answered, for any request
GROWTH_MAX = 64 * 1_048_576  # bytes; the node's memory and the kernel's for its connections
HELD_MAX = 60.0  # seconds a connection may last that is no reader's
