"""Colours and style of drawings, for light and dark pages. All texts have a contrast of 4.5 and more to what
they stand on (WCAG 2.2, level AA); a test reckons it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from archloom.drawing.words import FAMILIES

FONT = 'Helvetica, Arial, "Liberation Sans", sans-serif'
NAME = "archloom-drawing"
_PREFIX = "al-"


@dataclass(frozen=True)
class Theme:
    """``fills`` and ``bars`` are those of families; ``clusters`` alternate with depth."""

    paper: str
    ink: str
    soft: str
    line: str
    edge: str
    clusters: tuple[str, str]
    heads: tuple[str, str]
    badge: str
    on_badge: str
    added: str
    removed: str
    changed: str
    fills: Mapping[str, str]
    bars: Mapping[str, str]


def _families(*colours: str) -> Mapping[str, str]:
    return dict(zip(FAMILIES, colours, strict=True))


# Families: input, attention, recurrent, norm, merge, pool, embedding, linear, conv, pointwise, other.
LIGHT = Theme(
    *("#ffffff", "#1b1f24", "#4d5763", "#c3ccd5", "#5f6b78"),
    *(("#f6f8fa", "#eceff3"), ("#e6ebf1", "#dbe2ea"), "#27517f", "#ffffff"),
    *("#12693a", "#b02a1f", "#8a5200"),
    _families(
        *("#eef2f6", "#efe7fb", "#fdebdf", "#edf0f4", "#e9edf2", "#e3f4e8"),
        *("#fbf2d8", "#dcf3f0", "#e5effd", "#fae6f1", "#f0f1f3"),
    ),
    _families(
        *("#46566a", "#7c46c4", "#c2480f", "#64748b", "#51606f", "#1d8043"),
        *("#a87508", "#0f8a80", "#2c6cd6", "#b83280", "#6b7280"),
    ),
)
DARK = Theme(
    *("#14181d", "#e8ebef", "#b3bdc8", "#414b56", "#93a0ae"),
    *(("#1b2128", "#232a33"), ("#262f39", "#2f3945"), "#8dbdf0", "#10151b"),
    *("#6bd598", "#ff948a", "#f3b960"),
    _families(
        *("#262e37", "#33264a", "#48291a", "#2a3038", "#2b323b", "#1d3a28"),
        *("#3d3313", "#133c39", "#1a3354", "#472338", "#2b2f35"),
    ),
    _families(
        *("#93a4b8", "#b692f0", "#f59563", "#94a3b8", "#9aa8b8", "#5cc987"),
        *("#e0b146", "#4cc9bd", "#78aefb", "#ec86c0", "#9ca3af"),
    ),
)


def style() -> str:
    """The style sheet: light, and dark where the viewer asks for it."""
    return "\n".join([*_SHAPES, *_rules(LIGHT), "@media (prefers-color-scheme:dark){", *_rules(DARK), "}"])


def classes(words: str) -> str:
    """The names of classes as they stand in a drawing: its own, whatever page it is put in."""
    return " ".join(f"{_PREFIX}{word}" for word in words.split())


def _rule(selectors: str, properties: str) -> str:
    """Selectors such as ".box,text.badge", for elements of a drawing."""
    own = re.sub(r"\.(?=[a-z])", f".{_PREFIX}", selectors)
    return ",".join(f".{NAME} {selector}" for selector in own.split(",")) + f"{{{properties}}}"


_SHAPES = (
    _rule("text", f"font-family:{FONT};stroke:none"),
    _rule(".edge", "fill:none;stroke-width:1.4"),
    _rule(".box,.panel,.card", "stroke-width:1"),
    _rule(".edge.added,.edge.removed", "stroke-width:2.4"),
    _rule(".removed", "stroke-dasharray:6 4"),
    _rule(".sign,.tip.removed", "stroke-dasharray:none"),
    _rule(".box.added,.box.removed,.box.changed", "stroke-width:2.4"),
    _rule(".box.changed", "stroke-dasharray:1.5 3;stroke-linecap:round"),
)


def _rules(theme: Theme) -> list[str]:
    rules = [
        _rule(".paper,.bare", f"fill:{theme.paper}"),
        _rule("text", f"fill:{theme.ink}"),
        _rule(".soft,.foot", f"fill:{theme.soft}"),
        _rule(".edge", f"stroke:{theme.edge}"),
        _rule(".tip,.dot", f"fill:{theme.edge}"),
        _rule(".box,.panel,.card,.rule", f"stroke:{theme.line}"),
        _rule(".badge", f"fill:{theme.badge}"),
        _rule("text.badge", f"fill:{theme.on_badge}"),
        _rule("text.sign", f"fill:{theme.paper}"),
        _rule("text.change", f"fill:{theme.changed}"),
    ]
    for depth in (0, 1):
        rules.append(_rule(f".depth{depth}", f"fill:{theme.clusters[depth]}"))
        rules.append(_rule(f".head{depth}", f"fill:{theme.heads[depth]}"))
    for family in FAMILIES:
        rules.append(_rule(f".fill-{family}", f"fill:{theme.fills[family]}"))
        rules.append(_rule(f".bar-{family}", f"fill:{theme.bars[family]}"))
    for status, colour in (("added", theme.added), ("removed", theme.removed), ("changed", theme.changed)):
        rules.append(_rule(f".box.{status},.edge.{status}", f"stroke:{colour}"))
        rules.append(_rule(f".tip.{status},.sign.{status}", f"fill:{colour}"))
    return rules
