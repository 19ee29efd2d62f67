"""Plots as inline SVG: lines, steps and points on two axes. Built as XML elements, so every text is escaped.

Colours are classes ("strategy", "controls", "series-0", ...) that the page's style sheet fills.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element, SubElement, tostring

from markupsafe import Markup

WIDTH, HEIGHT = 680, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 34, 46


@dataclass(frozen=True)
class Point:
    """A point; `label` is shown when the pointer rests on it."""

    x: float
    y: float
    label: str = ""


@dataclass(frozen=True)
class Series:
    """Points of one colour, joined by a line, by steps, or not at all ("line", "steps", "points")."""

    name: str
    points: Sequence[Point]
    colour: str
    form: str = "line"
    ringed: bool = False


@dataclass(frozen=True)
class Axis:
    """One axis with its label; logarithmic for positive values over more than a decade and a half."""

    label: str
    low: float
    high: float
    log: bool = False
    ticks: tuple[float, ...] = field(default=())

    @classmethod
    def over(cls, label: str, values: Sequence[float], may_be_log: bool = False, whole: bool = False) -> Axis:
        """An axis that holds the values; a `whole` one has no ticks between whole numbers."""
        low, high = min(values), max(values)
        if may_be_log and low > 0 and high / low > 30:
            return cls(label, low / 1.15, high * 1.15, True, _log_ticks(low / 1.15, high * 1.15))
        if low == high:
            margin = abs(low) * 0.05 or 0.5
            low, high = low - margin, high + margin
        step = _step(low, high, whole)
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        ticks = tuple(number * step for number in range(first, last + 1))
        return cls(label, ticks[0], ticks[-1], False, ticks)

    def share(self, value: float) -> float:
        """Where the value stands between the ends, 0 to 1."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def plot(title: str, description: str, x: Axis, y: Axis, series: Sequence[Series]) -> Markup:
    """A whole plot. `title` and `description` are what a screen reader says."""
    root = Element("svg", {"viewBox": f"0 0 {WIDTH} {HEIGHT}", "role": "img", "class": "plot"})
    SubElement(root, "title").text = printable(title)
    SubElement(root, "desc").text = printable(description)
    _draw_axes(root, x, y)
    _draw_legend(root, series)
    for each in series:
        _draw_series(root, each, x, y)
    return Markup(tostring(root, encoding="unicode"))


def _draw_axes(root: Element, x: Axis, y: Axis) -> None:
    right, bottom = WIDTH - _RIGHT, HEIGHT - _BOTTOM
    for tick in y.ticks:
        at = _at_y(y, tick)
        SubElement(root, "line", {"x1": str(_LEFT), "x2": str(right), "y1": at, "y2": at, "class": "grid"})
        _text(root, _LEFT - 8, float(at) + 4, tick_text(tick, y), "end")
    for tick in x.ticks:
        at = _at_x(x, tick)
        tail = {"x1": at, "x2": at, "y1": str(bottom), "y2": str(bottom + 4), "class": "tail"}
        SubElement(root, "line", tail)
        _text(root, float(at), bottom + 18, tick_text(tick, x), "middle")
    base = {"x1": str(_LEFT), "x2": str(right), "y1": str(bottom), "y2": str(bottom), "class": "tail"}
    SubElement(root, "line", base)
    _text(root, (_LEFT + right) / 2, HEIGHT - 8, x.label, "middle", "label")
    _text(root, 6, 14, y.label, "start", "label")


def _draw_legend(root: Element, series: Sequence[Series]) -> None:
    # Seven pixels a letter is a little more than the font takes.
    at = float(WIDTH - _RIGHT)
    for each in [each for each in reversed(series) if each.name]:
        at -= 7.0 * len(each.name)
        _text(root, at, 14, each.name, "start", "legend")
        at -= 18
        swatch = {"x": f"{at:.1f}", "y": "5", "width": "11", "height": "11", "rx": "2"}
        SubElement(root, "rect", swatch | {"class": f"fill {each.colour}"})
        at -= 14


def _draw_series(root: Element, series: Series, x: Axis, y: Axis) -> None:
    group = SubElement(root, "g", {"class": series.colour})
    points = [(float(_at_x(x, each.x)), float(_at_y(y, each.y)), each.label) for each in series.points]
    if series.form in ("line", "steps") and points:
        path = f"M{points[0][0]:.1f},{points[0][1]:.1f}"
        for px, py, _ in points[1:]:
            path += f"H{px:.1f}V{py:.1f}" if series.form == "steps" else f"L{px:.1f},{py:.1f}"
        SubElement(group, "path", {"d": path, "class": "stroke"})
        if len(points) > 40:
            return
    radius = "5.5" if series.ringed else "3.5" if series.form == "points" else "2.5"
    for px, py, label in points:
        name = "ring" if series.ringed else "fill dot"
        dot = SubElement(group, "circle", {"cx": f"{px:.1f}", "cy": f"{py:.1f}", "r": radius, "class": name})
        if label:
            SubElement(dot, "title").text = printable(label)


def _at_x(axis: Axis, value: float) -> str:
    return f"{_LEFT + axis.share(value) * (WIDTH - _LEFT - _RIGHT):.1f}"


def _at_y(axis: Axis, value: float) -> str:
    return f"{HEIGHT - _BOTTOM - axis.share(value) * (HEIGHT - _TOP - _BOTTOM):.1f}"


def _text(root: Element, x: float, y: float, text: str, anchor: str, kind: str = "tick") -> None:
    place = {"x": f"{x:.1f}", "y": f"{y:.1f}", "text-anchor": anchor, "class": kind}
    SubElement(root, "text", place).text = printable(text)


def printable(text: str) -> str:
    """Text without the control characters that XML does not allow."""
    return "".join(sign if sign.isprintable() else " " for sign in text)


def _step(low: float, high: float, whole: bool) -> float:
    """A round step that makes about five parts."""
    rough = max((high - low) / 5, 1.0 if whole else 0.0)
    scale = 10.0 ** math.floor(math.log10(rough))
    factors = (1, 2, 5, 10) if whole else (1, 2, 2.5, 5, 10)
    return next(factor * scale for factor in factors if factor * scale >= rough * 0.999)


def _log_ticks(low: float, high: float) -> tuple[float, ...]:
    """1, 2 and 5 times the powers of ten; the powers alone over many decades."""
    factors = (1, 2, 5) if high / low < 2000 else (1,)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    values = (factor * 10.0**decade for decade in decades for factor in factors)
    return tuple(value for value in values if low <= value <= high)


def tick_text(value: float, axis: Axis) -> str:
    """Short: 20k, 1.5M, 0.925."""
    if abs(value) < 1e-12 * max(abs(axis.low), abs(axis.high)):
        return "0"
    for size, sign in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size * (10 if sign == "k" else 1):
            return f"{value / size:g}{sign}"
    return f"{value:.6g}"
