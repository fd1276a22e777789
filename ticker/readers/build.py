"""The widget's source, made small. Knows JavaScript as text; knows no HTTP.

    python ticker/readers/build.py < web/ticker.js > web/released/ticker-0.1.0.js

Run as a program of its own, by a node at its start too: the minifier brings Go's runtime with it, with threads
and signal handlers that a server that forks its workers has no use for, and its death must not be the node's.
The same source gives the same bytes wherever this version of the minifier runs: pages pin their hash (ADR 7).
"""

from __future__ import annotations

import math
import re
import subprocess
import sys

PATIENCE = 20.0  # seconds; it takes 0.05, on a machine that is busy some more

_STYLE = re.compile(r"(?<=^const STYLE = `)[^`$\\]*(?=`)", re.M)
_INTERNAL = re.compile(r"(?<=--)(?!ticker-)([a-z]{2})[a-z]*")  # custom properties that no page sets
_NUMBER = re.compile(r"^const ([A-Z_]+) = ([\d._]+|(?:[\d._]+ \* )?[A-Z_]+);.*\n", re.M)
_CONST = re.compile(r"\bconst\b(?=[ {\[])")
_EXPORT = re.compile(r"^export (?=(?:async function|function|class|const|let) (\w+))", re.M)


class NotBuilt(Exception):
    """Why, as the middle of a sentence."""


def build(source: bytes) -> bytes:
    """The module, minified, with the same exports. Raises NotBuilt."""
    try:
        # -P: the folder of this file is no place to import from.
        made = subprocess.run(
            [sys.executable, "-P", __file__], input=source, capture_output=True, timeout=PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotBuilt(f"the minifier gave no answer ({error})") from error
    if made.returncode:
        said = made.stderr.decode(errors="replace").strip().splitlines()
        raise NotBuilt(said[-1] if said else f"the minifier ended with status {made.returncode}")
    return made.stdout


def with_numbers(source: str) -> str:
    """The module with its numbers in place of their names: `const SECOND = 1_000`, `const MINUTE = 60 * SECOND`."""
    values: dict[str, str] = {}

    def keep(found: re.Match[str]) -> str:
        factors = [float(values.get(each, each)) for each in found[2].split(" * ")]
        values[found[1]] = repr(math.prod(factors))
        return ""

    return re.sub(r"\b[A-Z_]+\b", lambda found: values.get(found[0], found[0]), _NUMBER.sub(keep, source))


def in_function(source: str) -> str:
    """The module as one function that returns what it exports: a minifier leaves names at the top level alone.

    Every binding is a `let`: what `const` forbids was checked in the source, and one word in place of two is smaller.
    """
    names = _EXPORT.findall(source)
    inner = _CONST.sub("let", _EXPORT.sub("", source))
    if not names or re.search(r"^(?:export|import)\b(?!\.)", inner, re.M):
        raise NotBuilt("its imports and exports are of another kind than this knows")
    listed = ",".join(names)
    return f"export let{{{listed}}}=(()=>{{{inner}\nreturn{{{listed}}}}})()"


def _main() -> None:
    try:
        import minify
    except (ImportError, OSError):
        sys.exit("the package tdewolff-minify is not installed")
    try:
        source = sys.stdin.buffer.read().decode()
        source = _INTERNAL.sub(r"\1", source)
        source = _STYLE.sub(lambda style: minify.string("text/css", style[0]), source)
        made = minify.string("application/javascript", in_function(with_numbers(source)))
    except (ValueError, NotBuilt) as error:
        sys.exit(" ".join(str(error).split()))
    sys.stdout.buffer.write(made.encode())


if __name__ == "__main__":
    _main()
