"""The tree of a space from regions: sequences, residuals and parallels where the flow is such, named tensors
elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from archloom.space.operations import MERGES, find
from archloom.space.reading.fields import RESERVED

from archloom_evaluators.port.errors import ImportFailed
from archloom_evaluators.port.regions import Item, Region, Single
from archloom_evaluators.port.traced import Layer, Path, Traced

Node = dict[str, Any]


class Depth:
    """A chain of blocks whose number is decided: ``value`` is the domain or expression of it."""

    def __init__(self, value: object, decisions: str = "") -> None:
        self.value = value
        self.decisions = decisions


class Shaper:
    """Writes nodes, and notes in ``places`` where each layer of the module stands in the space."""

    def __init__(
        self,
        traced: Traced,
        parameters: Mapping[int, Mapping[str, Any]],
        replaced: Mapping[int, Node],
        depths: Mapping[Path, Depth],
    ) -> None:
        self.traced = traced
        self.parameters = parameters
        self.replaced = replaced
        self.depths = depths
        self.places: dict[str, Layer] = {}
        self.tensors: dict[int, str] = {
            -1 - place: name for place, name in enumerate(traced.inputs)
        }  # by name

    def body(self, root: Region) -> Node:
        """The body of the space."""
        only = list(self.traced.outputs) == ["features"] and len(self.traced.inputs) == 1
        if only:
            return {"sequence": self.series(root.items, root.reads[0], "", ())}
        nodes = self.flat(root.items, "", (), set(self.traced.outputs.values()))
        return {"sequence": nodes}

    # --------------------------------------------------------------- series

    def series(self, items: Sequence[Item], source: int, place: str, path: Path) -> list[Node]:
        """Items through which everything flows from one tensor to the last item's output."""
        nodes: list[Node] = []
        names: set[str] = set()
        start = 0
        for end in self.cuts(items, source):
            part = items[start:end]
            nodes += self.segment(part, source, place, path, names)
            source, start = part[-1].output, end
        return nodes

    def cuts(self, items: Sequence[Item], source: int) -> list[int]:
        """Numbers of items after which only the last output is still read."""
        made = {source}
        last: dict[int, int] = {}
        for number, item in enumerate(items):
            last.update(dict.fromkeys(item.reads, number))
        found = []
        alive = max(last.get(source, 0), 0)
        for number, item in enumerate(items):
            if alive <= number and number + 1 < len(items):
                found.append(number + 1)
            alive = max(alive, last.get(item.output, number))
            made.add(item.output)
        return [*found, len(items)]

    def segment(
        self, items: Sequence[Item], source: int, place: str, path: Path, names: set[str]
    ) -> list[Node]:
        """What stands between two such places: one item, a residual, a parallel, or named tensors."""
        last = items[-1]
        if len(items) == 1 and last.reads == (source,):
            return [self.item(last, place, path, names)]
        branches = self.branches(items, source)
        if branches is None:
            return self.flat(items, place, path, set(), names, source)
        assert isinstance(last, Single)
        merge = last.layer.operation
        bodies = [branch for branch in branches if branch]
        if merge == "sum" and len(branches) == 2 and len(bodies) == 1:
            name = _free("residual", names)
            here = _below(place, name)
            body = self.joined(bodies[0], source, here, path)
            return [{"name": name, "residual": body}]
        name = _free("parallel", names)
        here = _below(place, name)
        inner: set[str] = set()
        nodes = [self.branch(branch, source, here, path, inner) for branch in branches]
        return [{"name": name, "parallel": nodes, **({} if merge == "sum" else {"merge": merge})}]

    def joined(self, items: Sequence[Item], source: int, place: str, path: Path) -> Node:
        """An only child: a sequence without a name."""
        return {"sequence": self.series(items, source, place, path)}

    def branch(self, items: Sequence[Item], source: int, place: str, path: Path, names: set[str]) -> Node:
        if not items:
            return {"name": _free("shortcut", names), "layer": "identity"}
        if len(items) == 1 and items[0].reads == (source,):
            return self.item(items[0], place, path, names)
        name = _free("branch", names)
        return {"name": name, "sequence": self.series(items, source, _below(place, name), path)}

    def branches(self, items: Sequence[Item], source: int) -> list[list[Item]] | None:
        """The items before each operand of the last one, a merge; None where that is not how they flow."""
        last = items[-1]
        if (
            not isinstance(last, Single)
            or last.layer.operation not in MERGES
            or last.layer.number in self.replaced
        ):
            return None
        by_output = {item.output: item for item in items[:-1]}
        claimed: set[int] = set()
        found: list[list[Item]] = []
        for operand in last.reads:
            stack, mine = [operand], set[int]()
            while stack:
                number = stack.pop()
                if number == source or number in mine:
                    continue
                if number not in by_output:
                    return None
                mine.add(number)
                stack += by_output[number].reads
            if mine & claimed:
                return None
            claimed |= mine
            found.append([item for item in items[:-1] if item.output in mine])
        return found if claimed == set(by_output) else None

    # -------------------------------------------------------- named tensors

    def flat(
        self,
        items: Sequence[Item],
        place: str,
        path: Path,
        kept: set[int],
        names: set[str] | None = None,
        source: int | None = None,
    ) -> list[Node]:
        """One after the other, with names for tensors that are not read by the next one alone."""
        names = set() if names is None else names
        nodes: list[Node] = []
        before: int | None = source if source is not None else -1
        by_name: set[int] = set(kept)
        for item in items:
            if item.reads != (before,):
                by_name.update(item.reads)
            before = item.output
        if source is not None and source in by_name and source >= 0:
            self.tensors[source] = self.tensor_name(source)
            entry = _free("entry", names)
            nodes.append({"name": entry, "layer": "identity", "as": self.tensors[source]})
        before = source if source is not None else -1
        for item in items:
            node = self.item(item, place, path, names)
            if item.reads != (before,):
                read = [self.tensors[number] for number in item.reads]
                node["from"] = read if len(read) > 1 else read[0]
            if item.output in by_name:
                self.tensors[item.output] = self.tensor_name(item.output)
                node["as"] = self.tensors[item.output]
            nodes.append(node)
            before = item.output
        return nodes

    def tensor_name(self, number: int) -> str:
        outputs = {tensor: name for name, tensor in self.traced.outputs.items() if name != "features"}
        if number in outputs:
            return outputs[number]
        name = "_".join(self.traced.layers[number].path) if number >= 0 else f"input_{-number}"
        return _free(_identifier(name), {*self.tensors.values(), *outputs.values()})

    # ---------------------------------------------------------------- items

    def item(self, item: Item, place: str, path: Path, names: set[str]) -> Node:
        kind = item.layer.operation if isinstance(item, Single) else "block"
        name = _free(_name(item.path[len(path) :], kind), names)
        here = _below(place, name)
        if isinstance(item, Single):
            return {"name": name, **self.layer(item.layer, here)}
        if item.path in self.depths:
            return {"name": name, **self.repeated(item, self.depths[item.path], here)}
        return {"name": name, "sequence": self.series(item.items, item.reads[0], here, item.path)}

    def layer(self, layer: Layer, place: str) -> Node:
        self.places[place] = layer
        if layer.number in self.replaced:
            return dict(self.replaced[layer.number])
        given = {**layer.parameters, **self.parameters.get(layer.number, {})}
        let = given.pop("let", None)
        operation = given.pop("layer", layer.operation)
        spec = find(layer.operation)
        kept = {
            name: value
            for name, value in given.items()
            if name not in spec.by_name
            or type(value) is not type(spec.by_name[name].default)
            or value != spec.by_name[name].default
        }
        if kept.get("bias") is True:
            del kept["bias"]
        return {**({"let": let} if let else {}), "layer": operation, **kept}

    def repeated(self, region: Region, depth: Depth, place: str) -> Node:
        """A chain of equal blocks as a repetition; the first one stands before it where it differs."""
        chain = list(region.items)
        name = ".".join(region.path)
        source = region.reads[0]
        for item in chain:
            if item.reads != (source,):
                raise ImportFailed(f"{name!r} has no depth: its parts are no chain of blocks")
            source = item.output
        if len(chain) == 1 or _same(chain[0], chain[1], self):
            first, rest = [], chain
        else:
            first, rest = chain[:1], chain[1:]
        bodies = [self.block(item, f"{place}.rest[{number}]" if first else f"{place}[{number}]", region.path)
                  for number, item in enumerate(rest)]  # fmt: skip
        for item, body in zip(rest, bodies, strict=True):
            if _plain(body) != _plain(bodies[0]):
                one, other = (".".join(each.path) for each in (item, rest[0]))
                raise ImportFailed(
                    f"{name!r} has no depth: {one!r} differs from {other!r}; "
                    "only the first block may differ from the others"
                )
        taken, made = rest[0].reads[0], rest[0].output
        if self.traced.shape(taken) != self.traced.shape(made) and not first and len(chain) == 1:
            raise ImportFailed(
                f"{name!r} has no depth: its one block turns {self.traced.shape(taken)} into "
                f"{self.traced.shape(made)}, and nothing says what a second one would be"
            )
        decided = {"decisions": depth.decisions} if depth.decisions else {}
        if not first:
            return {
                "let": {"depth": depth.value},
                "repeat": {"count": "=depth", **decided, "body": bodies[0]},
            }
        names: set[str] = {"rest"}
        before = self.item(first[0], place, region.path, names)
        repeat = {"count": "=depth - 1", **decided, "body": bodies[0]}
        return {"let": {"depth": depth.value}, "sequence": [before, {"name": "rest", "repeat": repeat}]}

    def block(self, item: Item, place: str, path: Path) -> Node:
        """An item without a name."""
        if isinstance(item, Single):
            return self.layer(item.layer, place)
        return {"sequence": self.series(item.items, item.reads[0], place, item.path)}


def _same(one: Item, other: Item, shaper: Shaper) -> bool:
    places = dict(shaper.places)
    tensors = dict(shaper.tensors)
    equal: bool = _plain(shaper.block(one, "", one.path)) == _plain(shaper.block(other, "", other.path))
    shaper.places, shaper.tensors = places, tensors
    return equal


def _plain(node: Any, names: dict[str, str] | None = None) -> Any:
    """A node with its tensors numbered, to compare it."""
    names = {} if names is None else names
    if isinstance(node, list):
        return [_plain(each, names) for each in node]
    if not isinstance(node, dict):
        return node
    found = {}
    for key, value in node.items():
        if key in ("as", "from"):
            several = value if isinstance(value, list) else [value]
            found[key] = [names.setdefault(each, str(len(names))) for each in several]
        else:
            found[key] = _plain(value, names)
    return found


def _name(words: Path, kind: str) -> str:
    name = _identifier("_".join(words) or kind)
    if name[0].isdigit():
        name = f"{kind}{name}"
    return f"{name}_" if name in RESERVED else name


def _identifier(name: str) -> str:
    return re.sub(r"\W", "_", name)[:90]


def _free(name: str, taken: set[str]) -> str:
    found, number = name, 2
    while found in taken:
        found, number = f"{name}_{number}", number + 1
    taken.add(found)
    return found


def _below(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name
