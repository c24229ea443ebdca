"""Text that may be hostile: labels, columns and site names come from files that somebody else wrote."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["composed", "csv_text", "isolate", "plain", "slug"]

OPEN, CLOSE = "\N{FIRST STRONG ISOLATE}", "\N{POP DIRECTIONAL ISOLATE}"
BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Controls of the Unicode bidirectional algorithm (UAX 9): invisible, and able to turn the text around them."""
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the start of a formula."""


def plain(text: object, keep: str = "") -> str:
    r"""Show controls as escapes: line breaks, nulls, and marks that turn the direction of the text round them.

    Parameters
    ----------
    text
        Anything; its `str`.
    keep
        Controls that stay.

    >>> plain("a\u202eb\n")
    'a\\u202eb\\n'
    """
    return "".join(
        character.encode("unicode_escape").decode("ascii")
        if (character in BIDI or unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")) and character not in keep
        else character
        for character in str(text)
    )


def isolate(name: object) -> str:
    """Make a foreign name fit for a sentence of ours: its controls shown, its direction its own.

    >>> isolate("site 1") == OPEN + "site 1" + CLOSE
    True
    """
    return f"{OPEN}{plain(name)}{CLOSE}"


def composed(sentence: str) -> str:
    """Show the controls of a sentence of ours other than the isolates that `isolate` set."""
    return plain(sentence, keep=OPEN + CLOSE)


def slug(name: object, taken: set[str] | None = None) -> str:
    """Make a name fit for a file or an anchor: small letters, digits and hyphens, numbered where it is taken.

    Parameters
    ----------
    name
        Any text.
    taken
        Names in use; the new one is added.

    >>> slug("ROC of <b>any</b>"), slug("a", {"a"})
    ('roc-of-b-any-b', 'a-2')
    """
    folded = unicodedata.normalize("NFKD", str(name)).encode("ascii", "ignore").decode("ascii").lower()
    base = re.sub(r"[^a-z0-9]+", "-", folded).strip("-")[:60] or "item"
    found, number = base, 2
    while taken is not None and found in taken:
        found, number = f"{base}-{number}", number + 1
    if taken is not None:
        taken.add(found)
    return found


def csv_text(text: str) -> str:
    """Keep a spreadsheet from taking a cell of text for a formula (OWASP, CSV injection): a quote mark before it.

    >>> csv_text("=1+1"), csv_text("site 1")
    ("'=1+1", 'site 1')
    """
    shown = plain(text.translate({ord(OPEN): None, ord(CLOSE): None}))
    return f"'{shown}" if text.startswith(FORMULA) else shown
