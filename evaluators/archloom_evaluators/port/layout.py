"""Lines of Python laid out as ruff's formatter lays them out, at its default width."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH = 88


@dataclass(frozen=True)
class Bracket:
    """``opening items closing``; items are texts, or brackets themselves."""

    opening: str
    items: tuple[Text, ...]
    closing: str = ")"

    def __str__(self) -> str:
        comma = "," if self.opening.endswith("(") and self.is_tuple and len(self.items) == 1 else ""
        return f"{self.opening}{', '.join(map(str, self.items))}{comma}{self.closing}"

    @property
    def is_tuple(self) -> bool:
        return self.opening == "("


@dataclass(frozen=True)
class Repeated:
    """``*[item for _ in range(count)]``"""

    item: str | Bracket
    count: int

    def __str__(self) -> str:
        return f"*[{self.item} for _ in range({self.count})]"


Text = str | Bracket | Repeated


def call(name: str, items: Sequence[Text]) -> Bracket:
    return Bracket(f"{name}(", tuple(items))


def lay_out(before: str, text: Text, after: str, indent: int) -> list[str]:
    """``before text after`` as lines that fit, broken inside the outermost brackets first."""
    margin = " " * indent
    whole = f"{margin}{before}{text}{after}"
    if len(whole) <= WIDTH or isinstance(text, str):
        return [whole]
    inner = margin + "    "
    if isinstance(text, Repeated):
        loop = f"for _ in range({text.count})"
        together = f"{inner}{text.item} {loop}"
        if len(together) <= WIDTH:
            middle = [together]
        else:
            middle = [*lay_out("", text.item, "", indent + 4), inner + loop]
        return [f"{margin}{before}*[", *middle, f"{margin}]{after}"]
    if not text.items:
        return [whole]
    together = inner + ", ".join(map(str, text.items))
    if len(together) <= WIDTH and not (text.is_tuple and len(text.items) == 1):
        middle = [together]
    else:
        middle = [line for item in text.items for line in lay_out("", item, ",", indent + 4)]
    return [f"{margin}{before}{text.opening}", *middle, f"{margin}{text.closing}{after}"]
