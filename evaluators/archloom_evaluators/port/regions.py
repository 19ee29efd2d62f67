"""The modules that a network's layers stand in, as nested regions: one tensor enters, one leaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from archloom_evaluators.port.borders import Borders
from archloom_evaluators.port.traced import Layer, Path, Traced


@dataclass(frozen=True, eq=False)
class Region:
    """The items of a module, in an order in which they can be computed."""

    path: Path
    reads: tuple[int, ...]
    output: int
    members: tuple[int, ...]
    items: tuple[Item, ...]


@dataclass(frozen=True, eq=False)
class Single:
    """A layer as an item."""

    path: Path
    layer: Layer

    @property
    def reads(self) -> tuple[int, ...]:
        return self.layer.inputs

    @property
    def output(self) -> int:
        return self.layer.number

    @property
    def members(self) -> tuple[int, ...]:
        return (self.layer.number,)


Item = Region | Single


@dataclass
class _Branch:
    path: Path = ()
    layer: Layer | None = None
    members: list[int] = field(default_factory=list)
    children: dict[str, _Branch] = field(default_factory=dict)


def regions_of(traced: Traced) -> Region:
    """The whole network; its own path is ()."""
    root = _Branch()
    for layer in traced.layers:
        branch = root
        branch.members.append(layer.number)
        for segment in layer.path:
            branch = branch.children.setdefault(segment, _Branch((*branch.path, segment)))
            branch.members.append(layer.number)
        branch.layer = layer
    borders = Borders({layer.number: layer.inputs for layer in traced.layers}, traced.outputs.values())
    items = ordered(_parts(root, borders))
    output = next(iter(traced.outputs.values()))
    return Region(
        (), tuple(-1 - place for place in range(len(traced.inputs))), output, tuple(root.members), items
    )


def _parts(branch: _Branch, borders: Borders) -> list[Item]:
    found: list[Item] = [] if branch.layer is None else [Single(branch.path, branch.layer)]
    for child in branch.children.values():
        found += _plan(child, borders)
    return found


def _plan(branch: _Branch, borders: Borders) -> list[Item]:
    parts = _parts(branch, borders)
    entries = borders.entries(branch.members)
    if (len(parts) == 1 and isinstance(parts[0], Single)) or len(entries) != 1:
        return parts
    if not borders.closed(branch.members):
        return parts
    output = borders.exits(branch.members)[0]
    return [Region(branch.path, entries, output, tuple(branch.members), ordered(parts))]


def ordered(items: list[Item]) -> tuple[Item, ...]:
    """In an order in which they can be computed; regions that wait for each other are taken apart."""
    maker = {number: place for place, item in enumerate(items) for number in item.members}
    waiting = sorted(range(len(items)), key=lambda place: min(items[place].members))
    done: set[int] = set()
    result: list[Item] = []
    while waiting:
        ready = [
            place
            for place in waiting
            if {maker[read] for read in items[place].reads if read in maker} - {place} <= done
        ]
        if not ready:
            place = next(place for place in waiting if isinstance(items[place], Region))
            region = items[place]
            assert isinstance(region, Region)
            return ordered([*items[:place], *region.items, *items[place + 1 :]])
        waiting.remove(ready[0])
        done.add(ready[0])
        result.append(items[ready[0]])
    return tuple(result)


def named_regions(region: Region) -> Mapping[str, Region]:
    """All regions by the qualified name of their module."""
    found = {".".join(region.path): region}
    for item in region.items:
        if isinstance(item, Region):
            found |= named_regions(item)
    return found
