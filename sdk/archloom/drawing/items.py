"""Boxes with their texts: what a scene is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from archloom.drawing.layout import Box
from archloom.drawing.metrics import shorten, text_width
from archloom.drawing.picture import Layer
from archloom.drawing.words import costs, headline, printable, shape_text

TITLE, SMALL = 12.5, 10.5
ROW, FOLLOWERS, CHANGE, FOOT = 17.0, 13.5, 14.0, 16.0
PAD, BAR, MARK = 9.0, 5.0, 15.0
HEADER, INSIDE = 24.0, 14.0
LEAST_BOX, MOST_TEXT = 84.0, 250.0
_PORT = 9.0


@dataclass(frozen=True)
class Text:
    """``kind`` is its class: main, soft, change, foot, title; ``x`` and ``y`` (its base line) count from its
    item's corner; ``anchor`` is start, middle or end.
    """

    text: str
    kind: str
    x: float
    y: float
    size: float
    anchor: str = "start"
    bold: bool = False

    @property
    def width(self) -> float:
        return text_width(self.text, self.size, self.bold)


@dataclass(frozen=True)
class Strip:
    """The part of a box that is one layer with its followers."""

    family: str
    y: float
    height: float
    status: str


@dataclass(frozen=True)
class Item:
    """A box in its scene. ``kind``: stack, merge, port, output, cluster, mention."""

    kind: str
    x: float
    y: float
    width: float
    height: float
    layers: tuple[int, ...]
    tip: str
    texts: tuple[Text, ...] = ()
    strips: tuple[Strip, ...] = ()
    status: str = ""
    count: int = 1
    inner: Scene | None = None
    inner_at: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Way:
    """An edge: straight pieces (x, top, bottom), curves between; ``arrow`` where it ends at a box."""

    pieces: Sequence[tuple[float, float, float]]
    status: str
    arrow: bool


@dataclass(frozen=True)
class Scene:
    items: tuple[Item, ...]
    ways: tuple[Way, ...]
    width: float
    height: float


@dataclass(frozen=True)
class Draft:
    """A box before it has a place. ``arrivals`` and ``leaves`` are shifts from its middle by outside
    tensor.
    """

    item: Item
    box: Box
    arrivals: Mapping[int, float]
    leaves: Mapping[int, float]


def output_draft(name: str, layer: Layer) -> Draft:
    """The mark of an output of the network."""
    words = " ".join(["output", *([printable(name)] if name else []), "·", shape_text(layer)])
    text = Text(shorten(words, SMALL, MOST_TEXT, True), "main", 0, 0, SMALL, "middle", True)
    width = text.width + 24
    centred = Text(text.text, "main", width / 2, 15, SMALL, "middle", True)
    item = Item("output", 0, 0, width, 22, (), words, (centred,))
    return Draft(item, Box(width, 22, "bottom"), {}, {})


def port_draft(label: str, top: bool) -> Draft:
    """The dot where a tensor enters or leaves a cluster."""
    texts = (Text(label, "foot", 0, 0, SMALL - 1, "middle"),) if label else ()
    width = max(_PORT, texts[0].width + 4) if texts else _PORT
    height = _PORT + (12 if texts else 0)
    placed = tuple(
        Text(text.text, text.kind, width / 2, 8 if top else height - 2, text.size, "middle") for text in texts
    )
    item = Item("port", 0, 0, width, height, (), label, placed, status="top" if top else "bottom")
    return Draft(item, Box(width, height, "top" if top else "bottom"), {}, {})


def tooltip(layer: Layer) -> str:
    """Everything about a layer, for reading on demand."""
    parts = [layer.path or layer.operation, headline(layer), f"to {layer.kind} {shape_text(layer)}".strip()]
    if cost := costs([layer]):
        parts.append(cost)
    if layer.group:
        parts.append(f"weights shared as {layer.group}")
    if layer.status:
        parts.append("; ".join([layer.status, *map(str, layer.changes)]))
    return printable(", ".join(part for part in parts if part))


def badge_of(count: int, beside: Text, width: float) -> tuple[float, Text]:
    """The number of repetitions at the right end; the width that this needs."""
    text = Text(f"× {count}", "badge", 0, 0, SMALL + 1, "middle", True)
    room = text.width + 14
    width = max(width, beside.x + beside.width + 10 + room + 6)
    return width, Text(text.text, "badge", width - 6 - room / 2, 16, SMALL + 1, "middle", True)


def still(item: Item) -> Draft:
    end = "top" if item.strips and item.strips[0].family == "input" and item.kind == "stack" else ""
    return Draft(item, Box(item.width, item.height, end), {}, {})


def moved(item: Item, corner: tuple[float, float]) -> Item:
    """The item where it stands."""
    return replace(item, x=corner[0], y=corner[1])
