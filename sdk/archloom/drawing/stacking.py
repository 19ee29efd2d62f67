"""Which layers share a box: a convolution, its norm and its activation; the layers of one block in a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from archloom.drawing.folding import Group
from archloom.drawing.picture import Layer, Picture, readers
from archloom.drawing.words import family

_MOST_ROWS = 6
_MOST_FOLLOWERS = 3


@dataclass(frozen=True)
class Row:
    """A layer and what follows it (norm, activation, dropout); places in the picture."""

    main: int
    followers: tuple[int, ...] = ()

    @property
    def last(self) -> int:
        return self.followers[-1] if self.followers else self.main


@dataclass(frozen=True)
class Stack:
    """A chain of layers: each row reads the last layer of the one above."""

    rows: tuple[Row, ...]

    @property
    def layers(self) -> tuple[int, ...]:
        return tuple(place for row in self.rows for place in (row.main, *row.followers))


class Stacking:
    def __init__(self, picture: Picture, mentioned: frozenset[str] = frozenset()) -> None:
        self.picture = picture
        self.mentioned = mentioned
        self.readers = readers(picture)
        self.outputs = {place for _, place in picture.outputs}

    def elements(self, entries: Sequence[int | Group]) -> list[Stack | Group]:
        """The boxes and groups of a block; a group around one box is that box, unless others
        mention it: then its title must be seen.
        """
        return self._merged(self._opened(entries))

    def _opened(self, entries: Sequence[int | Group]) -> list[int | Group]:
        flat: list[int | Group] = []
        for entry in entries:
            named = isinstance(entry, Group) and entry.path in self.mentioned
            if isinstance(entry, Group) and entry.count == 1 and not entry.like and not named:
                inside = self._merged(self._opened(entry.entries))
                if len(inside) == 1:
                    only = inside[0]
                    flat.extend(only.layers if isinstance(only, Stack) else (only,))
                    continue
            flat.append(entry)
        return flat

    def _merged(self, entries: Sequence[int | Group]) -> list[Stack | Group]:
        found: list[Stack | Group] = []
        for entry in entries:
            if isinstance(entry, Group):
                found.append(entry)
                continue
            before = found[-1] if found else None
            grown = self._grown(before, entry) if isinstance(before, Stack) else None
            if grown is None:
                found.append(Stack((Row(entry),)))
            else:
                found[-1] = grown
        return found

    def _chained(self, upper: int, lower: int) -> bool:
        layer = self.picture.layers[lower]
        status = self.picture.layers[upper].status
        whole = not any(layer.edges) or layer.edges == (layer.status,) == (status,)
        plain = layer.inputs == (upper,) and whole
        return plain and self.readers[upper] == [lower] and upper not in self.outputs

    def _grown(self, stack: Stack, place: int) -> Stack | None:
        """The stack with one more layer, where that reads well."""
        layers = self.picture.layers
        layer, rows = layers[place], stack.rows
        if not self._chained(rows[-1].last, place):
            return None
        first = layers[rows[0].main]
        if family(first.operation) == "input" or layer.body is not None or first.body is not None:
            return None
        last = rows[-1]
        if is_follower(layer):
            quiet = layer.status == layers[last.main].status and not layer.changes
            if quiet and len(last.followers) < _MOST_FOLLOWERS:
                return Stack((*rows[:-1], Row(last.main, (*last.followers, place))))
        elif family(layer.operation) == "merge":
            return None
        else:
            mains = [layers[row.main] for row in rows if not is_follower(layers[row.main])]
            if mains and not _of_one_block(mains[-1], layer):
                return None
        return Stack((*rows, Row(place))) if len(rows) < _MOST_ROWS else None


def is_follower(layer: Layer) -> bool:
    """Whether it is a norm, an activation or a dropout."""
    return family(layer.operation) in ("norm", "pointwise")


def _of_one_block(upper: Layer, lower: Layer) -> bool:
    if family(upper.operation) == "merge":
        return False
    scopes = [layer.path.rpartition(".")[0] for layer in (upper, lower)]
    return bool(scopes[0]) and scopes[0] == scopes[1]
