"""Widths of texts, so that boxes fit them without a renderer at hand.

The drawing asks for Helvetica, Arial or Liberation Sans, whose glyphs have these widths (Adobe's font
metrics); where a viewer has none of them, ``textLength`` holds each text to the width reckoned here.
"""

from __future__ import annotations

_FIRST = 32
_REGULAR = (
    "278 278 355 556 556 889 667 191 333 333 389 584 278 333 278 278 556 556 556 556 556 556 556 556 "
    "556 556 278 278 584 584 584 556 1015 667 667 722 722 667 611 778 722 278 500 667 556 833 722 "
    "778 667 778 722 667 611 722 667 944 667 667 611 278 278 278 469 556 333 556 556 500 556 556 278 "
    "556 556 222 222 500 222 833 556 556 556 556 333 500 278 556 500 722 500 500 500 334 260 334 584 "
)
_BOLD = (
    "278 333 474 556 556 889 722 238 333 333 389 584 278 333 278 278 556 556 556 556 556 556 556 556 "
    "556 556 333 333 584 584 584 611 975 722 722 722 722 667 611 778 722 278 556 722 611 833 722 778 "
    "667 778 722 667 611 722 667 944 667 667 611 333 278 333 584 556 333 556 611 556 611 556 333 611 "
    "611 278 278 556 278 889 611 611 611 611 389 556 333 611 556 778 556 556 500 389 280 389 584 "
)
_WIDTHS = {False: tuple(map(int, _REGULAR.split())), True: tuple(map(int, _BOLD.split()))}
_OTHERS = {"×": 584, "·": 278, "…": 1000, "→": 1000, "–": 556, "−": 584, "±": 584}
_UNKNOWN = 1000


def text_width(text: str, size: float, bold: bool = False) -> float:
    """In the unit of ``size``; letters without known widths count as wide as they are high."""
    widths = _WIDTHS[bold]
    total = 0
    for letter in text:
        place = ord(letter) - _FIRST
        total += widths[place] if 0 <= place < len(widths) else _OTHERS.get(letter, _UNKNOWN)
    return total * size / 1000


def shorten(text: str, size: float, width: float, bold: bool = False) -> str:
    """The text, or as much of it as fits in the width with an ellipsis."""
    if text_width(text, size, bold) <= width:
        return text
    while text and text_width(text + "…", size, bold) > width:
        text = text[:-1]
    return text.rstrip() + "…"
