"""Repeated parts of a network, so that a drawing shows them once.

Layers stand in walking order, so a repetition is a run of neighbours. Two steps find them:

1. The paths say what was written as a repetition (``stage[0]``, ``stage[1]``): its layers form a group.
2. Neighbouring groups and layers that repeat, alone or several together, become one group "× n" where the
   repetitions are alike in every layer and in every edge: what one reads inside, the next reads inside too;
   what it reads of the repetition before (or two before, as the cells of Liu et al. 2019 do), so does the
   next; everything else they read is the same tensor. It is a search for tandem repeats with all savings
   compared, started anew in what is left and in the repeated part itself.

Groups that are built like an earlier one, but wider or at another resolution, are marked as such.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from archloom.drawing.picture import Picture
from archloom.drawing.words import span

_LEAST_SAVED = 2
"""Layers that a fold must spare."""
_LEAST_UNNAMED = 6
"""Layers that a fold must spare where the paths tell of no repetition."""
_LEAST_LIKE = 5
"""Layers that a group must have to be drawn by a mention of one like it."""
_MOST_PORTS = 6
_STEP = re.compile(r"([^.\[\]]*)((?:\[\d+\])*)(?:\.|$)")
_CELL = re.compile(r"(.+)\.node\[\d+\]")
#: Numbers in the paths of cells and projections count no repetitions.
_NOT_REPEATED = frozenset(("node", "edge", "input", "adapt", "pre", "zeroes"))


@dataclass(frozen=True)
class Group:
    """Layers start, ..., start + length * count - 1: ``count`` repetitions of ``entries``.

    ``like`` is the path of an earlier group of the same build; ``earlier`` tells of outside tensors how many
    repetitions back they stand for.
    """

    entries: tuple[int | Group, ...]
    start: int
    length: int
    path: str
    count: int = 1
    like: str = ""
    earlier: tuple[tuple[int, int], ...] = ()

    @property
    def end(self) -> int:
        """One past its last layer."""
        return self.start + self.length * self.count

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        return tuple(entry for entry in self.entries if isinstance(entry, Group))


def fold(picture: Picture, unfold: bool = False) -> tuple[int | Group, ...]:
    """The layers in order, repeated parts as groups; unfolded, what was written as a repetition is grouped,
    and everything shown.
    """
    folding = _Folding(picture)
    entries = folding.grouped(range(len(picture.layers)), 0)
    if unfold:
        return entries
    return tuple(_likened(picture, folding.folded(entries), {}))


def scopes(path: str, cells: Collection[str] = ()) -> tuple[str, ...]:
    """The repetitions and cells a layer stands in, from the outside in: ``a[0].b[1].c`` stands in a[0] and
    a[0].b[1].
    """
    found = [path[:at] for at, letter in enumerate(path) if letter == "." and path[:at] in cells]
    for match in _STEP.finditer(path):
        name, indices = match.groups()
        if not indices or name in _NOT_REPEATED:
            continue
        end = match.start(2)
        for index in re.findall(r"\[\d+\]", indices):
            end += len(index)
            found.append(path[:end])
    return tuple(sorted(set(found), key=len))


class _Folding:
    def __init__(self, picture: Picture) -> None:
        self.layers = picture.layers
        cells = {match[1] for layer in picture.layers if (match := _CELL.match(layer.path))}
        self.scopes = [scopes(layer.path, cells) for layer in picture.layers]
        self.tokens: dict[object, int] = {}
        self.readers: list[set[int]] = [set() for _ in picture.layers]
        for place, layer in enumerate(picture.layers):
            for source in layer.inputs:
                self.readers[source].add(place)

    def grouped(self, places: range, depth: int) -> tuple[int | Group, ...]:
        """Entries by what the paths say."""
        entries: list[int | Group] = []
        place = places.start
        while place < places.stop:
            scope = self.scopes[place][depth : depth + 1]
            end = place + 1
            while scope and end < places.stop and self.scopes[end][depth : depth + 1] == scope:
                end += 1
            if scope:
                inside = self.grouped(range(place, end), depth + 1)
                entries.append(Group(inside, place, end - place, scope[0]))
            else:
                entries.append(place)
            place = end
        return tuple(entries)

    def folded(self, entries: Sequence[int | Group]) -> tuple[int | Group, ...]:
        """Entries with repeats folded, here and inside."""
        found = self.best(entries)
        if found is None:
            return tuple(
                replace(entry, entries=self.folded(entry.entries)) if isinstance(entry, Group) else entry
                for entry in entries
            )
        start, period, group = found
        unit = entries[start : start + period]
        only = unit[0]
        inside = only.entries if period == 1 and isinstance(only, Group) else unit
        after = entries[start + period * group.count :]
        group = replace(group, entries=self.folded(inside))
        return (*self.folded(entries[:start]), group, *self.folded(after))

    def best(self, entries: Sequence[int | Group]) -> tuple[int, int, Group] | None:
        """(first entry, entries of a repetition, the group) of the repeat that spares the most layers."""
        tokens = [self.token(entry) for entry in entries]
        starts = [_start(entry) for entry in entries]
        ends = [*starts[1:], _end(entries[-1])] if entries else []
        candidates = []
        for period in range(1, len(entries) // 2 + 1):
            alike = 0
            for first in range(len(entries) - period - 1, -1, -1):
                alike = alike + 1 if tokens[first] == tokens[first + period] else 0
                count = alike // period + 1
                if count > 1:
                    length = ends[first + period - 1] - starts[first]
                    candidates.append(((count - 1) * length, -period, -first, count))
        candidates.sort(reverse=True)
        best: tuple[int, int, int, Group] | None = None
        for saved, period, first, count in candidates:
            if saved < max(_LEAST_SAVED, best[0] + 1 if best else 0):
                break
            here = entries[-first : -first - period]
            length = ends[-first - period - 1] - starts[-first]
            group = self.repeat(starts[-first], length, count, here)
            if group is not None and (group.count - 1) * length > (best[0] if best else _LEAST_SAVED - 1):
                best = ((group.count - 1) * length, -first, -period, group)
        return None if best is None else best[1:]

    def token(self, entry: int | Group) -> int:
        """Equal for entries that look alike, what they read from outside left open."""
        start = _start(entry)
        looks = tuple(
            (layer.look, tuple(source - start if source >= start else -1 for source in layer.inputs))
            for layer in self.layers[start : _end(entry)]
        )
        return self.tokens.setdefault(looks, len(self.tokens))

    def repeat(self, start: int, length: int, count: int, unit: Sequence[int | Group]) -> Group | None:
        """As many repetitions as are alike in their edges too, or None."""
        while count > 1:
            earlier = self.alike(start, length, count)
            end = start + length * count
            outside = sum(any(reader >= end for reader in self.readers[place]) for place in range(start, end))
            if earlier is not None and outside <= _MOST_PORTS:
                name = self.name(start, length, count)
                serial = earlier and outside <= 1 and (count - 1) * length >= _LEAST_UNNAMED
                return Group(tuple(unit), start, length, name, count, "", earlier) if name or serial else None
            count -= 1
        return None

    def name(self, start: int, length: int, count: int) -> str:
        """The path that the repetitions have in common."""
        ranges = (range(start, start + length), range(start + length * (count - 1), start + length * count))
        common = []
        for places in ranges:
            shared = self.scopes[places[0]]
            for place in places:
                shared = tuple(scope for scope in shared if scope in self.scopes[place])
            common.append(shared)
        for first, last in zip(*common, strict=False):
            if first != last:
                return span(first, last)
        return ""

    def alike(self, start: int, length: int, count: int) -> tuple[tuple[int, int], ...] | None:
        """Whether the repetitions read alike: (outside tensor, how many repetitions back it stands for) of
        each that the first one reads in place of an earlier repetition; None where they do not.
        """
        history: dict[tuple[int, int], int] = {}  # (place in a repetition, repetitions before the first)
        fixed: list[tuple[int, ...]] = []
        last = start + length * (count - 1)
        for place in range(start, start + length):
            for slot, source in enumerate(self.layers[place + last - start].inputs):
                reads = tuple(self.layers[place + length * r].inputs[slot] for r in range(count))
                if source < start:
                    fixed.append(reads)
                    continue
                back, position = (last - source + length - 1) // length, (source - start) % length
                for number, read in enumerate(reads):
                    if number >= back:
                        if read != start + (number - back) * length + position:
                            return None
                    elif read >= start or history.setdefault((position, back - number), read) != read:
                        return None
        return self._outside(start, length, fixed, history)

    def _outside(
        self, start: int, length: int, fixed: Sequence[tuple[int, ...]], history: dict[tuple[int, int], int]
    ) -> tuple[tuple[int, int], ...] | None:
        known = {read: key for key, read in history.items()}
        for reads in fixed:
            if len(set(reads)) == 1:
                continue
            if reads[-1] not in known:
                return None
            position, back = known[reads[-1]]
            for number, read in enumerate(reversed(reads)):
                if read >= start or history.setdefault((position, back + number), read) != read:
                    return None
        first = {source for layer in self.layers[start : start + length] for source in layer.inputs}
        outside = list(history.values())
        # One tensor in two roles (two repetitions back and one, say) could not be told apart in a drawing.
        lasting = {reads[0] for reads in fixed if len(set(reads)) == 1}
        if not first.issuperset(outside) or len(set(outside)) < len(outside) or lasting & set(outside):
            return None
        return tuple(sorted({(read, back) for (_, back), read in history.items()}))


def _likened(
    picture: Picture, entries: Sequence[int | Group], seen: dict[object, str]
) -> Iterator[int | Group]:
    """Groups built like an earlier one are marked; they show no difference of two networks."""
    for entry in entries:
        if not isinstance(entry, Group):
            yield entry
            continue
        layers = picture.layers[entry.start : entry.start + entry.length]
        plain = not any(layer.status or layer.before or any(layer.edges) for layer in layers)
        kin = _kin(picture, entry)
        if plain and len(layers) >= _LEAST_LIKE and kin in seen:
            yield replace(entry, like=seen[kin])
        else:
            if plain and entry.path:
                seen[kin] = entry.path
            yield replace(entry, entries=tuple(_likened(picture, entry.entries, seen)))


def _kin(picture: Picture, group: Group) -> object:
    outside: dict[int, int] = {}
    return tuple(
        (
            layer.kin,
            tuple(
                source - group.start
                if source >= group.start
                else -1 - outside.setdefault(source, len(outside))
                for source in layer.inputs
            ),
        )
        for layer in picture.layers[group.start : group.start + group.length]
    )


def _start(entry: int | Group) -> int:
    return entry if isinstance(entry, int) else entry.start


def _end(entry: int | Group) -> int:
    return entry + 1 if isinstance(entry, int) else entry.end


def mentioned(entries: Sequence[int | Group]) -> frozenset[str]:
    """Paths of the groups that others are said to be built like."""
    groups = [entry for entry in entries if isinstance(entry, Group)]
    own = frozenset(group.like for group in groups if group.like)
    return own.union(*(mentioned(group.entries) for group in groups))


def home(group: Group, place: int) -> int:
    """The layer of the first repetition that a layer of the group is drawn as."""
    return group.start + (place - group.start) % group.length
