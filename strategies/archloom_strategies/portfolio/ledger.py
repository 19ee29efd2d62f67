"""Which arm proposed what, for as many proposals as a window holds, in some bytes each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

#: Letters name arms; a small one stands for a proposal that was not passed on.
LETTERS = "ABCDEFGHIJKLMNOP"
_DIGITS = 8


@dataclass(frozen=True)
class Place:
    arm: int
    ordinal: int
    """In that arm's own answer."""


class Ledger:
    """The last ``size`` proposals. ``steps`` has for each step one letter for each proposal of the arms, in
    the order of the answer.
    """

    def __init__(self, steps: Sequence[tuple[int, str]], size: int) -> None:
        self.steps = list(steps)
        self._size = size
        self._lines = dict(self.steps)

    def add(self, step: int, line: str) -> None:
        if line:
            self.steps.append((step, line))
            self._lines[step] = line
        held = sum(len(each) for _, each in self.steps)
        while self.steps and held - len(self.steps[0][1]) >= self._size:
            first, gone = self.steps.pop(0)
            del self._lines[first]
            held -= len(gone)

    def place(self, step: int, ordinal: int) -> Place | None:
        """Of the proposal with this place in the portfolio's answer; None where it is not known."""
        line = self._lines.get(step, "")
        passed = [place for place, letter in enumerate(line) if letter.isupper()]
        if ordinal >= len(passed):
            return None
        place = passed[ordinal]
        letter = line[place]
        return Place(LETTERS.index(letter), line[:place].upper().count(letter))

    def made(self, arms: int) -> list[int]:
        """Proposals passed on, by arm."""
        return [sum(line.count(LETTERS[arm]) for _, line in self.steps) for arm in range(arms)]


class Known:
    """What was asked lately, in the eight digits of a digest each; its text goes into the state."""

    def __init__(self, text: str, size: int) -> None:
        self._order = [text[place : place + _DIGITS] for place in range(0, len(text), _DIGITS)]
        self._size = size
        self._all = frozenset(self._order)
        self._new: dict[str, None] = {}

    def add(self, parts: Iterable[object]) -> bool:
        """Whether it was new."""
        digest = hashlib.sha256(repr(tuple(parts)).encode()).hexdigest()[:_DIGITS]
        if digest in self._all or digest in self._new:
            return False
        self._new[digest] = None
        return True

    def text(self) -> str:
        return "".join([*self._order, *self._new][-self._size :])
