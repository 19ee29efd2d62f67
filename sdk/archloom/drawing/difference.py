"""What differs between two networks: layers are matched by their paths, then by where they stand in the
graph.

Two unmatched layers belong together where they do the same and read the same (matched) tensors, or are read
by the same (matched) layers; then where they are of one operation and name and read the same. What is left
was added or removed. A pair that would make the common picture circular (two layers that changed places) is
none.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from archloom.drawing.picture import (
    ADDED,
    CHANGED,
    REMOVED,
    WIDTHS,
    Change,
    Layer,
    Picture,
    picture_of,
    readers,
)
from archloom.drawing.words import counted, shape_text
from archloom.space import Graph


@dataclass(frozen=True)
class Difference:
    """Paths of layers of the second network (removed ones: of the first), in order.

    ``reshaped`` layers differ in nothing but the shapes that come to them from others. ``outputs`` are those
    that lead elsewhere. ``picture`` shows both networks in one.
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[tuple[str, tuple[Change, ...]], ...]
    reshaped: tuple[str, ...]
    rewired: tuple[str, ...]
    outputs: tuple[str, ...]
    picture: Picture
    before: Picture

    def __bool__(self) -> bool:
        layers = (self.added, self.removed, self.changed, self.reshaped, self.rewired)
        return any(layers) or bool(self.outputs)

    def lines(self) -> tuple[str, ...]:
        """The difference in words."""
        if not self:
            return ("The two networks are the same.",)
        told = (
            *((len(self.added), "added"), (len(self.removed), "removed"), (len(self.changed), "changed")),
            *((len(self.rewired), "read other tensors"), (len(self.reshaped), "have only another shape")),
        )
        layers = ", ".join(f"{count} {what}" for count, what in told if count)
        outputs = ", ".join(self.outputs)
        lines = (layers and f"Layers: {layers}", outputs and f"Outputs that are other tensors: {outputs}")
        return tuple(line for line in lines if line)

    def sizes(self) -> str:
        """What both networks cost."""
        after, before = self.picture, self.before
        layers = len(after.layers) - len(self.removed)
        told = (
            (len(before.layers), layers, "layers"),
            (before.parameters, after.parameters, "parameters"),
            (before.flops, after.flops, "multiply-adds an example"),
        )
        return " · ".join(f"{_both(a, b)} {what}" for a, b, what in told)


def difference(before: Graph, after: Graph) -> Difference:
    """From one network to another."""
    first, second = picture_of(before), picture_of(after)
    pairs = _Matching(first, second).pairs()
    while True:
        union = _Union(first, second, pairs)
        order, stuck = union.order()
        if not stuck:
            return union.difference(order)
        for key in stuck:
            pairs.pop(key, None)


class _Matching:
    """``pair``: place in the second network -> place in the first."""

    def __init__(self, first: Picture, second: Picture) -> None:
        self.first, self.second = first.layers, second.layers
        self.first_readers, self.second_readers = readers(first), readers(second)
        self.pair: dict[int, int] = {}
        self.back: dict[int, int] = {}

    def pairs(self) -> dict[int, int]:
        places = {layer.path: place for place, layer in enumerate(self.first)}
        for place, layer in enumerate(self.second):
            other = places.get(layer.path)
            if other is not None and (layer.operation == "input") == (self.first[other].operation == "input"):
                self.join(place, other)
        forwards = range(len(self.second))
        self.sweep(forwards, self.same, self.reads_alike)
        self.sweep(reversed(forwards), self.same, self.is_read_alike)
        self.sweep(forwards, self.same_name, self.reads_alike)
        return self.pair

    def join(self, place: int, other: int) -> None:
        self.pair[place] = other
        self.back[other] = place

    def sweep(self, order: Iterable[int], *tests: Callable[[int, int], bool]) -> None:
        left = [other for other in range(len(self.first)) if other not in self.back]
        for place in order:
            if place in self.pair:
                continue
            for other in left:
                if other not in self.back and all(test(place, other) for test in tests):
                    self.join(place, other)
                    break

    def same_operation(self, place: int, other: int) -> bool:
        return self.second[place].operation == self.first[other].operation

    def same_name(self, place: int, other: int) -> bool:
        """Such as the convolutions of two options."""
        names = [layer.path.rpartition(".")[2] for layer in (self.second[place], self.first[other])]
        return names[0] == names[1] and self.same_operation(place, other)

    def same(self, place: int, other: int) -> bool:
        return (
            self.same_operation(place, other)
            and self.second[place].parameters == self.first[other].parameters
        )

    def reads_alike(self, place: int, other: int) -> bool:
        mine = [self.pair.get(source, -1) for source in self.second[place].inputs]
        return -1 not in mine and sorted(mine) == sorted(self.first[other].inputs)

    def is_read_alike(self, place: int, other: int) -> bool:
        mine = [self.pair.get(reader, -1) for reader in self.second_readers[place]]
        return bool(mine) and -1 not in mine and sorted(mine) == sorted(self.first_readers[other])


class _Union:
    """Both networks in one: ids are places of the second; len(second) + place for what only the first has."""

    def __init__(self, first: Picture, second: Picture, pairs: Mapping[int, int]) -> None:
        self.first, self.second, self.pairs = first, second, pairs
        self.back = {other: place for place, other in pairs.items()}
        size = len(second.layers)
        self.of_first = [self.back.get(place, size + place) for place in range(len(first.layers))]
        self.layers: dict[int, Layer] = {}
        for place, layer in enumerate(second.layers):
            other = pairs.get(place)
            self.layers[place] = (
                replace(layer, status=ADDED, edges=(ADDED,) * len(layer.inputs))
                if other is None
                else self.joined(layer, first.layers[other])
            )
        for place, layer in enumerate(first.layers):
            if place not in self.back:
                moved = tuple(self.of_first[source] for source in layer.inputs)
                self.layers[size + place] = replace(
                    layer, inputs=moved, status=REMOVED, edges=(REMOVED,) * len(moved)
                )

    def joined(self, layer: Layer, old: Layer) -> Layer:
        left = Counter(self.of_first[source] for source in old.inputs)
        edges = []
        for source in layer.inputs:
            edges.append("" if left[source] else ADDED)
            left[source] -= 1
        gone = tuple(source for source, count in left.items() for _ in range(count))
        edges += [REMOVED] * len(gone)
        changes = self.changes(layer, old)
        return replace(
            layer,
            inputs=(*layer.inputs, *gone),
            edges=tuple(edges) if any(edges) else (),
            status=CHANGED if changes else "",
            changes=changes,
            before=old.dims if old.dims != layer.dims else (),
        )

    def changes(self, layer: Layer, old: Layer) -> tuple[Change, ...]:
        if layer.operation != old.operation:
            return (Change("operation", old.operation, layer.operation),)
        was, now = dict(old.parameters), dict(layer.parameters)
        names = [*now, *(name for name in was if name not in now)]
        found = [
            Change(name.replace("_", " "), was.get(name, "none"), now.get(name, "none"))
            for name in names
            if was.get(name) != now.get(name)
        ]
        if all(change.what in WIDTHS for change in found) and self.follows(layer, old, was, now):
            found = []
        if order := self.order_changed(layer, old):
            found.append(order)
        if bool(layer.group) != bool(old.group):
            found.append(Change("weights", *("shared" if one.group else "its own" for one in (old, layer))))
        if layer.kind != old.kind:
            found.append(Change("yields", old.kind, layer.kind))
        if (layer.body is None) != (old.body is None) or (layer.body and layer.body != old.body):
            found.append(Change("inside", _inside(old.body), _inside(layer.body)))
        return tuple(found)

    def follows(self, layer: Layer, old: Layer, was: Mapping[str, str], now: Mapping[str, str]) -> bool:
        """Whether both are as wide as what they read: then another width is no change of their own."""
        for one, told, picture in ((layer, now, self.second), (old, was, self.first)):
            if not one.inputs or not one.dims or picture.layers[one.inputs[0]].dims[:1] != one.dims[:1]:
                return False
            if was.get("groups") != now.get("groups") and told["groups"] != str(one.dims[0]):
                return False
        return layer.dims != old.dims

    def order_changed(self, layer: Layer, old: Layer) -> Change | None:
        """Of an ordered operation that reads the same."""
        before = [self.of_first[source] for source in old.inputs]
        if not layer.ordered or before == list(layer.inputs) or Counter(before) != Counter(layer.inputs):
            return None
        numbers = {source: str(number + 1) for number, source in enumerate(before)}
        return Change(
            "order of inputs",
            " ".join(numbers.values()),
            " ".join(numbers[source] for source in layer.inputs),
        )

    def order(self) -> tuple[list[int], list[int]]:
        """Ids so that inputs come first, else near where they stood; and what is stuck in a circle."""
        size, keys, at = len(self.second.layers), {}, 0.0
        for place, now in enumerate(self.of_first):
            if now < size:
                at = float(now)
            else:
                keys[now] = at + 0.5 + place / (2 * len(self.of_first) + 2)
        keys |= {place: float(place) for place in range(size)}
        waiting = {number: len(set(layer.inputs)) for number, layer in self.layers.items()}
        after: dict[int, list[int]] = {number: [] for number in self.layers}
        for number, layer in self.layers.items():
            for source in set(layer.inputs):
                after[source].append(number)
        heap = [(keys[number], number) for number, count in waiting.items() if not count]
        heapq.heapify(heap)
        order = []
        while heap:
            _, number = heapq.heappop(heap)
            order.append(number)
            for reader in after[number]:
                waiting[reader] -= 1
                if not waiting[reader]:
                    heapq.heappush(heap, (keys[reader], reader))
        return order, [number for number, count in waiting.items() if count and number in self.pairs]

    def difference(self, order: Sequence[int]) -> Difference:
        ids = {number: place for place, number in enumerate(order)}
        layers = [self.layers[number] for number in order]
        renumbered = tuple(
            replace(layer, inputs=tuple(ids[source] for source in layer.inputs)) for layer in layers
        )
        outputs = {name: ids[place] for name, place in self.second.outputs}
        gone = {
            f"{name} (before)": ids[self.of_first[place]]
            for name, place in self.first.outputs
            if outputs.get(name) != ids[self.of_first[place]]
        }
        inputs = [(name, ids[place]) for name, place in self.second.inputs]
        picture = Picture(
            renumbered,
            tuple(inputs),
            (*outputs.items(), *gone.items()),
            self.second.parameters,
            self.second.flops,
        )
        changed = tuple((layer.path, layer.changes) for layer in layers if layer.status == CHANGED)
        still = [layer for layer in layers if not layer.status]
        return Difference(
            tuple(layer.path for layer in layers if layer.status == ADDED),
            tuple(layer.path for layer in layers if layer.status == REMOVED),
            changed,
            tuple(layer.path for layer in still if layer.before and not any(layer.edges)),
            tuple(layer.path for layer in still if any(layer.edges)),
            tuple(name.removesuffix(" (before)") for name in gone),
            picture,
            self.first,
        )


def _inside(body: Picture | None) -> str:
    if body is None:
        return "nothing"
    last = body.layers[body.outputs[0][1]] if body.outputs else None
    return f"{len(body.layers)} layers to {shape_text(last)}" if last else f"{len(body.layers)} layers"


def _both(before: int, after: int) -> str:
    """Two numbers, as short as tells them apart."""
    if before == after:
        return counted(after)
    short = counted(before), counted(after)
    return f"{short[0]} → {short[1]}" if short[0] != short[1] else f"{before:,} → {after:,}"
