"""A scene as a standalone SVG: no scripts, no ids, nothing loaded; a tooltip on every box."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from archloom.drawing.items import BAR, HEADER, MARK, Item, Scene, Text, Way
from archloom.drawing.metrics import text_width
from archloom.drawing.theme import NAME, classes, style
from archloom.drawing.words import FAMILIES, FAMILY_TITLES, printable

_MARGIN = 20.0
_LEGEND_WIDTH = 560.0
_SIGNS = {"added": "+", "removed": "−", "changed": "~"}
_SIGN_TITLES = {"added": "added", "removed": "removed", "changed": "changed"}


def paint(scene: Scene, title: str, lines: Sequence[str], described: str) -> str:
    """The drawing under its title and the lines of its caption, with a legend of what it shows."""
    entries = _legend_entries(scene)
    least = max([text_width(title, 16, True), *(text_width(line, 12) for line in lines), 240.0])
    inner = max(scene.width, least)
    legend, legend_height = _legend_places(entries, max(inner, min(_LEGEND_WIDTH, inner * 1.4)))
    inner = max([inner, *(x + width for x, _, width in legend)])
    width = inner + 2 * _MARGIN
    head = _MARGIN + 18 + 17 * len(lines) + 16
    height = head + scene.height + 22 + legend_height + _MARGIN
    root = Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {_n(width)} {_n(height)}",
            "width": _n(width),
            "height": _n(height),
            "role": "img",
            "class": NAME,
        },
    )
    SubElement(root, "title").text = printable(title)
    SubElement(root, "desc").text = printable(described)
    SubElement(root, "style").text = style()
    _rect(root, "paper", 0, 0, width, height, 8)
    _text(root, Text(printable(title), "title", _MARGIN, _MARGIN + 12, 16, bold=True))
    for number, line in enumerate(lines):
        _text(root, Text(printable(line), "soft", _MARGIN, _MARGIN + 32 + 17 * number, 12))
    _scene(root, scene, _MARGIN + (inner - scene.width) / 2, head, 0)
    _draw_legend(root, entries, legend, head + scene.height + 22)
    indent(root, "")
    return tostring(root, encoding="unicode") + "\n"


# -------------------------------------------------------------- the scene


def _scene(parent: Element, scene: Scene, x: float, y: float, depth: int) -> None:
    group = SubElement(parent, "g", {"transform": f"translate({_n(x)} {_n(y)})"})
    for way in scene.ways:
        if not way.status:
            _way(group, way)
    for way in scene.ways:
        if way.status:
            _way(group, way)
    for item in scene.items:
        _item(group, item, depth)


def _way(parent: Element, way: Way) -> None:
    x, y, bottom = way.pieces[0]
    end = way.pieces[-1][2] - (5 if way.arrow else 0)
    path = f"M{_n(x)} {_n(y)}" + (f"V{_n(bottom)}" if bottom > y else "")
    for (before, _, above), (after, below, last) in pairwise(way.pieces):
        is_last = after is way.pieces[-1][0] and last is way.pieces[-1][2]
        stop = min(below, end) if is_last else below
        middle = (above + stop) / 2
        if abs(before - after) < 0.05:
            path += f"V{_n(stop)}"
        else:
            path += f"C{_n(before)} {_n(middle)} {_n(after)} {_n(middle)} {_n(after)} {_n(stop)}"
        last = end if is_last else last
        if last > stop:
            path += f"V{_n(last)}"
    SubElement(parent, "path", {"class": classes(f"edge {way.status}"), "d": path})
    if way.arrow:
        x, y = way.pieces[-1][0], way.pieces[-1][2]
        head = f"M{_n(x)} {_n(y)}l-3.6 -7q3.6 1.6 7.2 0z"
        SubElement(parent, "path", {"class": classes(f"tip {way.status}"), "d": head})


def _item(parent: Element, item: Item, depth: int) -> None:
    group = SubElement(
        parent, "g", {"class": classes(item.kind), "transform": f"translate({_n(item.x)} {_n(item.y)})"}
    )
    if item.tip:
        SubElement(group, "title").text = item.tip
    if item.kind == "port":
        y = item.height - 4.5 if item.status == "top" else 4.5
        SubElement(
            group, "circle", {"class": classes("dot"), "cx": _n(item.width / 2), "cy": _n(y), "r": "3.2"}
        )
    elif item.kind == "cluster":
        _cluster(group, item, depth)
    elif item.kind == "mention":
        _cards(group, item)
        _rect(group, f"box head{depth % 2}", 0, 0, item.width, item.height, 7)
    elif item.kind == "stack":
        _stack(group, item)
    else:
        family = "merge" if item.kind == "merge" else "input"
        _rect(group, f"box fill-{family}", 0, 0, item.width, item.height, item.height / 2)
    for text in item.texts:
        if text.kind == "badge":
            _rect(group, "badge", text.x - text.width / 2 - 7, text.y - 12, text.width + 14, 16, 8)
        _text(group, text)


def _cards(group: Element, item: Item) -> None:
    """What is repeated lies on more of its kind."""
    for step in range(min(item.count, 3) - 1, 0, -1):
        _rect(group, "card bare", 3.5 * step, 3.5 * step, item.width, item.height, 7)


def _cluster(group: Element, item: Item, depth: int) -> None:
    _cards(group, item)
    _rect(group, f"panel depth{depth % 2}", 0, 0, item.width, item.height, 7)
    w, r = item.width, 7
    shape = f"M0 {_n(HEADER)}V{r}Q0 0 {r} 0H{_n(w - r)}Q{_n(w)} 0 {_n(w)} {r}V{_n(HEADER)}z"
    SubElement(group, "path", {"class": classes(f"panel head{depth % 2}"), "d": shape})
    if item.status:
        _rect(group, f"box {item.status}", 0, 0, item.width, item.height, 7).set("fill", "none")
    if item.inner is not None:
        _scene(group, item.inner, *item.inner_at, depth + 1)


def _stack(group: Element, item: Item) -> None:
    told = [strip.family for strip in item.strips if strip.family not in ("norm", "pointwise")]
    family = told[0] if told else item.strips[0].family
    _rect(group, f"box fill-{family}", 0, 0, item.width, item.height, 6)
    for number, strip in enumerate(item.strips):
        if number:
            y = _n(strip.y + 0.5)
            line = {"class": classes("rule"), "x1": _n(BAR), "x2": _n(item.width), "y1": y, "y2": y}
            SubElement(group, "line", line)
        _rect(group, f"bar-{strip.family}", 2, strip.y + 2, 3.5, strip.height - 3, 1.7)
    if item.status:
        _rect(group, f"box {item.status}", 0, 0, item.width, item.height, 6).set("fill", "none")
    for strip in item.strips:
        if strip.status:
            _sign(group, strip.status, BAR + 4, strip.y + 3)


def _sign(group: Element, status: str, x: float, y: float) -> None:
    side = MARK - 2
    _rect(group, f"sign {status}", x, y, side, side, 3)
    sign = Text(_SIGNS[status], "sign", x + side / 2, y + side - 2.6, 13, "middle", True)
    _text(group, sign)


def _rect(
    parent: Element, kind: str, x: float, y: float, width: float, height: float, radius: float
) -> Element:
    sizes = {"x": x, "y": y, "width": width, "height": height, "rx": radius}
    return SubElement(
        parent,
        "rect",
        {"class": classes(kind), **{name: _n(value) for name, value in sizes.items() if value}},
    )


def _text(parent: Element, text: Text) -> None:
    attributes = {"class": classes(text.kind), "x": _n(text.x), "y": _n(text.y), "font-size": _n(text.size)}
    if text.bold:
        attributes["font-weight"] = "bold"
    if text.anchor != "start":
        attributes["text-anchor"] = text.anchor
    if len(text.text) > 1:
        attributes["textLength"] = _n(text.width)
        attributes["lengthAdjust"] = "spacingAndGlyphs"
    SubElement(parent, "text", attributes).text = text.text


def _n(number: float) -> str:
    """A number with two digits, without what it does not need."""
    return f"{number:.2f}".rstrip("0").rstrip(".") if number else "0"


# ------------------------------------------------------------- the legend


def _legend_entries(scene: Scene) -> list[tuple[str, str]]:
    """(class, words) of each family and mark that the scene shows."""
    families: set[str] = set()
    marks: set[str] = set()
    for item in _items(scene):
        families.update(strip.family for strip in item.strips)
        marks.update(strip.status for strip in item.strips if strip.status)
        marks.update(["merge"] if item.kind == "merge" else [])
    marks.update(way.status for way in _all_ways(scene) if way.status)
    if "merge" in marks:
        families.add("merge")
    found = [(name, FAMILY_TITLES[name]) for name in FAMILIES if name in families]
    return found + [(name, words) for name, words in _SIGN_TITLES.items() if name in marks]


def _items(scene: Scene) -> list[Item]:
    found = list(scene.items)
    for item in scene.items:
        if item.inner is not None:
            found += _items(item.inner)
    return found


def _all_ways(scene: Scene) -> list[Way]:
    found = list(scene.ways)
    for item in scene.items:
        if item.inner is not None:
            found += _all_ways(item.inner)
    return found


def _legend_places(
    entries: Sequence[tuple[str, str]], width: float
) -> tuple[list[tuple[float, float, float]], float]:
    """(x, y, width) of each entry, in lines; the height of all."""
    x = y = 0.0
    found = []
    for _, words in entries:
        room = 22 + text_width(words, 11.5)
        if x and x + room > width:
            x, y = 0.0, y + 20
        found.append((x, y, room))
        x += room + 18
    return found, y + 16 if entries else 0.0


def _draw_legend(
    parent: Element,
    entries: Sequence[tuple[str, str]],
    places: Sequence[tuple[float, float, float]],
    top: float,
) -> None:
    group = SubElement(
        parent, "g", {"class": classes("legend"), "transform": f"translate({_n(_MARGIN)} {_n(top)})"}
    )
    for (name, words), (x, y, _) in zip(entries, places, strict=True):
        if name in _SIGNS:
            _sign(group, name, x, y)
        else:
            _rect(group, f"box fill-{name}", x, y, 14, 14, 3)
            _rect(group, f"bar-{name}", x + 2, y + 2, 3.5, 10, 1.7)
        _text(group, Text(words, "soft", x + 21, y + 11, 11.5))
