"""A space's decisions as a sequence of elementary draws, which an autoregressive policy makes one by one.

A decision among listed values, a flag or a short range of integers is one draw of a number; a subset is one
draw for each of its members; a float or a long range of integers is one place on a line. Which draws come
next depends on what was drawn: only decisions that exist under the others are made, in the space's order.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

from archloom.space import Architecture, Space
from archloom.space.decisions.choices import All, Branch, Decisions, Leaf, Tree
from archloom.space.decisions.sharing import Shared, Whole
from archloom.space.decisions.steps import Steps
from archloom.space.language.domains import (
    Choice,
    Domain,
    Flag,
    Integer,
    Literal,
    Subset,
    Uniform,
    literal_key,
)

#: Integers of more values are a place on a line.
LISTED = 64

#: Of a place on a continuous line: a millionth is no difference, and all digits would fill the state.
DIGITS = 6
#: Values of all decisions together, at most: what a policy in a state can hold.
MOST_VALUES = 20_000

Answer = int | float
"""The number of a value; on a line, that of a part, or a float from 0 to 1 where it is continuous."""


@dataclass(frozen=True, slots=True)
class Draw:
    """One elementary draw. ``allowed``: numbers of the slot's values; none on a line, which has ``parts``
    equal parts, 0 for a continuous one. ``ordered``: whether the allowed values are numbers that rise.
    """

    slot: int
    domain: Domain
    allowed: tuple[int, ...] = ()
    parts: int = 0
    ordered: bool = False


@dataclass
class Slot:
    """Where draws of one kind are made: a path, and of a subset one of its members."""

    path: str
    member: object
    """The key of a subset's member; None otherwise."""
    line: bool
    numbers: dict[object, int]
    """The number of each value that the path can have anywhere, by its key."""

    @property
    def outputs(self) -> int:
        """Logits; on a line, its middle and its width."""
        return 2 if self.line or self.member is not None else len(self.numbers)

    @property
    def family(self) -> str:
        """Slots that differ in the numbers of repetitions, cells or edges alone have one."""
        member = "" if self.member is None else repr(self.member)
        return f"{re.sub(r'[0-9]+(?=])', '', self.path)} {member} {self.line}"


class Draws:
    """The draws of one space."""

    def __init__(self, space: Space) -> None:
        self._tree = space.choices
        self.slots: list[Slot] = []
        self._numbers: dict[tuple[str, object], int] = {}
        for path, domain, _ in self._tree.conditions(()):
            self._enter(path, domain)
        self._plans: dict[tuple[str, int], Draw] = {}

    def _enter(self, path: str, domain: Domain) -> None:
        if isinstance(domain, Subset):
            for member in domain.of:
                self._slot(path, literal_key(member), line=False)
        elif _listed(domain):
            numbers = self._slot(path, None, line=False).numbers
            for index in range(domain.count or 0):
                numbers.setdefault(literal_key(domain.at(index)), len(numbers))
        else:
            self._slot(path, None, line=True)

    def _slot(self, path: str, member: object, *, line: bool) -> Slot:
        key = (path, (line, member))
        if key not in self._numbers:
            self._numbers[key] = len(self.slots)
            self.slots.append(Slot(path, member, line, {}))
        return self.slots[self._numbers[key]]

    def walk(self, out: Decisions) -> Generator[Draw, Answer, None]:
        """Yields each draw, takes its answer, and writes the decisions into ``out``."""
        return self._walk(self._tree, out)

    def _walk(self, tree: Tree, out: Decisions) -> Generator[Draw, Answer, None]:
        match tree:
            case All():
                for child in tree.children:
                    yield from self._walk(child, out)
            case Leaf():
                yield from self._decide(tree.path, tree.domain, out)
            case Branch():
                yield from self._decide(tree.path, tree.domain, out)
                yield from self._walk(tree.option(out[tree.path]), out)
            case Steps():
                yield from self._decide(tree.path, tree.domain, out)
                number = tree.domain.index(out[tree.path])
                assert number is not None
                for row in tree.rows[: tree.numbers[number]]:
                    yield from self._walk(row, out)
            case Shared():
                if tree.mark not in out:
                    yield from self._walk(tree.tree, out)
            case Whole():
                yield from self._walk(tree.tree, out)
            case _:
                raise TypeError(f"decisions that stand in a {type(tree).__name__} cannot be walked")

    def _decide(self, path: str, domain: Domain, out: Decisions) -> Generator[Draw, Answer, None]:
        if isinstance(domain, Subset):
            out[path] = yield from self._members(path, domain)
            return
        draw = self._plans.get((path, id(domain)))
        if draw is None:
            draw = self._plans[path, id(domain)] = self._plan(path, domain)
        answer = yield draw
        out[path] = _value(draw, answer)

    def _plan(self, path: str, domain: Domain) -> Draw:
        if not _listed(domain):
            return Draw(self._numbers[path, (True, None)], domain, parts=domain.count or 0)
        number = self._numbers[path, (False, None)]
        numbers = self.slots[number].numbers
        values = [domain.at(index) for index in range(domain.count or 0)]
        return Draw(
            number, domain, tuple(numbers[literal_key(each)] for each in values), ordered=_rise(values)
        )

    def _members(self, path: str, domain: Subset) -> Generator[Draw, Answer, tuple[Literal, ...]]:
        chosen: list[Literal] = []
        for place, member in enumerate(domain.of):
            out = len(chosen) + len(domain.of) - place - 1 >= domain.least
            into = len(chosen) < domain.most
            slot = self._numbers[path, (False, literal_key(member))]
            if (yield Draw(slot, domain, tuple(n for n, may in ((0, out), (1, into)) if may))):
                chosen.append(member)
        return tuple(chosen)

    def answers(self, architecture: Architecture) -> list[Answer]:
        """Those that make this architecture, which is of the space."""
        given = architecture.decisions
        walked = self._answered(lambda draw: self._answer(draw, given[self.slots[draw.slot].path]))
        return [answer for _, answer in walked]

    def architecture(self, answers: Sequence[Answer]) -> Architecture:
        """The one that these make."""
        out: Decisions = {}
        left = iter(answers)
        for _ in self._answered(lambda draw: next(left), out):
            pass
        return Architecture(out)

    def drawn(self, answers: Sequence[Answer]) -> list[Draw]:
        """The draws that these answered."""
        left = iter(answers)
        return [draw for draw, _ in self._answered(lambda draw: next(left))]

    def _answered(
        self, answer_of: Callable[[Draw], Answer], out: Decisions | None = None
    ) -> Iterator[tuple[Draw, Answer]]:
        walk = self.walk({} if out is None else out)
        draw = next(walk, None)
        while draw is not None:
            answer = answer_of(draw)
            yield draw, answer
            try:
                draw = walk.send(answer)
            except StopIteration:
                return

    def _answer(self, draw: Draw, value: Literal) -> Answer:
        slot = self.slots[draw.slot]
        if slot.member is not None:
            return int(slot.member in [literal_key(each) for each in cast("tuple[Literal, ...]", value)])
        if not slot.line:
            return slot.numbers[literal_key(value)]
        if isinstance(draw.domain, Uniform):
            return round(draw.domain.unit(cast("float", value)), DIGITS)
        return cast("int", draw.domain.index(value))


def _listed(domain: Domain) -> bool:
    return isinstance(domain, (Choice, Flag)) or (isinstance(domain, Integer) and domain.count <= LISTED)


def _rise(values: Sequence[Literal]) -> bool:
    numbers = [each for each in values if isinstance(each, (int, float)) and not isinstance(each, bool)]
    return len(numbers) == len(values) > 1 and all(one < other for one, other in pairwise(numbers))


def _value(draw: Draw, answer: Answer) -> Literal:
    if isinstance(draw.domain, Uniform):
        return draw.domain.value(answer)
    if not draw.allowed:
        return draw.domain.at(int(answer))
    return draw.domain.at(draw.allowed.index(int(answer)))
