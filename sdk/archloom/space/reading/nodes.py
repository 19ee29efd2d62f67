"""Reading of nodes: each kind's fields, parts put where they are used, and the limits of the tree."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from archloom.space.errors import SpaceError, Violation, mean, show, suggest
from archloom.space.language.domains import Choice
from archloom.space.language.tree import (
    MAX_DEPTH,
    MAX_LINKED,
    MAX_NODES,
    MAX_REPEAT,
    CellNode,
    ChoiceNode,
    LayerNode,
    Links,
    MapNode,
    Node,
    ParallelNode,
    RepeatNode,
    ResidualNode,
    ScanNode,
    SequenceNode,
    SparseEdges,
    UseNode,
    Value,
    segments,
)
from archloom.space.networks.scans import STEP_INPUT, STEP_OUTPUT
from archloom.space.operations import MERGES
from archloom.space.reading.fields import RESERVED
from archloom.space.reading.layers import read_layer
from archloom.space.reading.values import FAULTY, ValueReader

_COMMON = ("name", "as", "from", "let", "when", "adapt")
_EXTRA = {"parallel": ("merge",), "sequence": ("carry",)}
_ADAPT = {
    "residual": ("error", "project", "skip"),
    "parallel": ("error", "project"),
    "cell": ("error", "project"),
    "repeat": ("error", "project"),
}
_STEP_PORTS = {STEP_INPUT: "the input of each step", STEP_OUTPUT: "the output of each step"}
_OPTION = re.compile(r"[A-Za-z0-9_]{1,100}")
_MAX_INPUTS = 16


@dataclass(frozen=True)
class _Part:
    """A part that was read: its node, the nodes in it (parts inside written out), and how deep these go."""

    node: Node
    size: int
    height: int


class NodeReader(ValueReader):
    """Reads nodes. ``parts`` are the parts of the space as they were written; each is read once, where it is
    first met.
    """

    def __init__(self, parts: Mapping[str, Any]) -> None:
        super().__init__()
        self.written = parts
        self.parts: dict[str, _Part] = {}
        self.open: list[str] = []  # parts that are being read
        self.nodes = 0  # parts written out
        self.deepest = 0

    # ----------------------------------------------------------- any node

    def child(self, fields: Mapping[str, Any], key: str, path: str, depth: int) -> Node:
        """The node of a required field, whose absence has been noted."""
        if key not in fields:
            return LayerNode(operation="identity", where=path)
        return self.node(fields[key], path, depth + 1)

    def node(self, data: object, path: str, depth: int) -> Node:
        """A node; a placeholder where there is none."""
        self.count(1, path)
        placeholder = LayerNode(operation="identity", where=path)
        if depth > MAX_DEPTH:
            self.too_deep(path)
            return placeholder
        self.deepest = max(self.deepest, depth)
        if not isinstance(data, Mapping):
            self.no_node(data, path)
            return placeholder
        fields = self.mapping(data, path, None)
        if fields is None:
            return placeholder
        kinds = [kind for kind in _READERS if kind in fields]
        if len(kinds) != 1:
            self.wrong_kind(fields, kinds, path)
            return placeholder
        kind = kinds[0]
        if kind != "layer":
            self.unknown_keys(fields, (kind, *_COMMON, *_EXTRA.get(kind, ())), path)
        common = {
            "name": self.name(fields["name"], f"{path}.name", RESERVED) if "name" in fields else "",
            "tensor": self.name(fields["as"], f"{path}.as") if "as" in fields else "",
            "sources": self.tensors(fields["from"], f"{path}.from") if "from" in fields else (),
            "let": self.bindings(fields.get("let", {}), f"{path}.let"),
            "when": self.expression(fields["when"], f"{path}.when") if "when" in fields else None,
            "adapt": self.adapt(kind, fields, path),
            "where": path,
        }
        return _READERS[kind](self, fields, path, depth, common)

    def count(self, nodes: int, path: str) -> None:
        """So many more nodes; past the limit nothing more is read."""
        self.nodes += nodes
        self.limit(0, path)

    def limit(self, nodes: int, path: str) -> None:
        """Whether so many more nodes may be read."""
        if self.nodes + nodes > MAX_NODES:
            what = f"more than {MAX_NODES} nodes" + (" (parts counted at each use)" if self.written else "")
            self.give_up(path, f"the tree has {what}; repeat and use write the same nodes once")

    def give_up(self, path: str, message: str) -> NoReturn:
        raise SpaceError([*self.violations, Violation(path, message)])

    def too_deep(self, path: str) -> None:
        what = " (parts counted where they are used)" if self.written else ""
        self.fault_once(path, f"the tree is deeper than {MAX_DEPTH} nodes{what}")

    def no_node(self, data: object, path: str) -> None:
        hint = ""
        if isinstance(data, (list, tuple)):
            hint = "; {sequence: [...]} puts nodes one after the other"
        elif isinstance(data, str):
            hint = f"; a layer is written {{layer: {data[:40]}, ...}}"
        self.fault(path, f"expected a node (a map), found {show(data)}{hint}")

    def wrong_kind(self, fields: Mapping[str, Any], kinds: list[str], path: str) -> None:
        if kinds:
            self.fault(path, f"a node has one kind, this one has {' and '.join(kinds)}")
            return
        if not fields:
            self.fault(path, f"a node without a kind; kinds: {', '.join(_READERS)}")
            return
        found = [key for key in fields if key not in _COMMON]
        hint = suggest(found[0], _READERS) if found else ""
        known = "" if hint.startswith(" (known") else f"; kinds: {', '.join(_READERS)}"
        self.fault(path, f"no kind of node among {', '.join(fields)}{hint}{known}")

    def adapt(self, kind: str, fields: Mapping[str, Any], path: str) -> str:
        if "adapt" not in fields:
            return ""
        inside = fields[kind]
        joins = kind in _ADAPT and (kind != "repeat" or (isinstance(inside, Mapping) and "links" in inside))
        if not joins:
            what = "repeat without links" if kind == "repeat" else kind
            self.fault(
                f"{path}.adapt", f"a {what} joins nothing; adapt stands at {', '.join(_ADAPT)} with links"
            )
            return ""
        return self.one_of(fields["adapt"], f"{path}.adapt", _ADAPT[kind])

    def sharing(self, fields: Mapping[str, Any], key: str, path: str) -> str:
        """``decisions`` or ``weights``, empty where unsaid."""
        known = {"decisions": ("tied", "free"), "weights": ("separate", "shared")}
        return self.one_of(fields[key], f"{path}.{key}", known[key]) if key in fields else ""

    def merge(self, data: object, path: str, known: tuple[str, ...] = MERGES) -> Value:
        value = self.value(data, path)
        if value is FAULTY:
            return value
        for sample in value.values if isinstance(value, Choice) else (value,):
            if sample not in known:
                wanted = f"expected {', '.join(known)} or a choice of them"
                self.fault(path, f"{wanted}, found {show(sample)}{mean(sample, known)}")
        return value

    # ------------------------------------------------------ kinds of node

    def layer(self, fields: Mapping[str, Any], path: str, depth: int, common: Mapping[str, Any]) -> Node:
        return read_layer(self, fields, path, common)

    def sequence(self, fields: Mapping[str, Any], path: str, depth: int, common: Mapping[str, Any]) -> Node:
        carry = self.whole(fields["carry"], f"{path}.carry", 1, _MAX_INPUTS) if "carry" in fields else 0
        nodes = self.siblings(fields["sequence"], f"{path}.sequence", depth)
        return SequenceNode(nodes=nodes, carry=carry, **common)

    def parallel(self, fields: Mapping[str, Any], path: str, depth: int, common: Mapping[str, Any]) -> Node:
        nodes = self.siblings(fields["parallel"], f"{path}.parallel", depth)
        merge = self.merge(fields["merge"], f"{path}.merge") if "merge" in fields else ""
        return ParallelNode(nodes=nodes, merge=merge, **common)

    def siblings(self, data: object, path: str, depth: int) -> tuple[Node, ...]:
        items = self.items(data, path, "a list of nodes")
        if not items and isinstance(data, list):
            self.fault(path, "expected at least one node")
        self.limit(len(items), path)
        nodes = tuple(self.node(item, f"{path}[{number}]", depth + 1) for number, item in enumerate(items))
        names = segments(nodes)
        seen: set[str] = set()
        for number, name in enumerate(names):
            if name in seen:
                self.fault(f"{path}[{number}].name", f"a sibling is called {name!r} too")
            seen.add(name)
        return nodes

    def choice(self, fields: Mapping[str, Any], path: str, depth: int, common: Mapping[str, Any]) -> Node:
        return ChoiceNode(options=self.options(fields["choice"], f"{path}.choice", depth), **common)

    def options(self, data: object, path: str, depth: int) -> tuple[tuple[str, Node], ...]:
        if isinstance(data, (list, tuple)):
            self.fault(path, "expected a map of options, name: node, found a list")
            return ()
        self.limit(len(data) if isinstance(data, Mapping) else 0, path)
        options = self.mapping(data, path, None) or {}
        if not options and isinstance(data, Mapping):
            self.fault(path, "a choice needs at least one option")
        for name in options:
            if not _OPTION.fullmatch(name):
                self.fault(f"{path}.{name}", "an option's name consists of letters, digits and underscores")
        return tuple((name, self.node(node, f"{path}.{name}", depth + 1)) for name, node in options.items())

    def repeat(self, fields: Mapping[str, Any], path: str, depth: int, common: Mapping[str, Any]) -> Node:
        path = f"{path}.repeat"
        known = ("count", "body", "decisions", "weights", "links")
        inner = self.mapping(fields["repeat"], path, known, required=("count", "body"))
        if inner is None:
            inner = {"count": 1, "body": {"layer": "identity"}}
        count = self.value(inner.get("count", 1), f"{path}.count")
        self.check_whole(count, f"{path}.count", 0, MAX_LINKED if "links" in inner else MAX_REPEAT)
        return RepeatNode(
            count=count,
            body=self.child(inner, "body", f"{path}.body", depth),
            decisions=self.sharing(inner, "decisions", path),
            weights=self.sharing(inner, "weights", path),
            links=self.links(inner["links"], f"{path}.links") if "links" in inner else None,
            **common,
        )

    def links(self, data: object, path: str) -> Links | None:
        inner = self.mapping(data, path, ("subset", "most", "merge"))
        if inner is None:
            return None
        if "subset" in inner:
            self.one_of(inner["subset"], f"{path}.subset", ("earlier",))
        return Links(
            most=self.whole(inner["most"], f"{path}.most", 1, 1_000) if "most" in inner else None,
            merge=self.merge(inner["merge"], f"{path}.merge") if "merge" in inner else "",
        )

    def cell(self, fields: Mapping[str, Any], path: str, depth: int, common: Mapping[str, Any]) -> Node:
        path = f"{path}.cell"
        known = ("inputs", "pre", "nodes", "edges", "ops", "input_stride", "join", "output")
        inner = self.mapping(fields["cell"], path, known, required=("nodes", "edges", "ops")) or {}
        stride: Value = ""
        if "input_stride" in inner:
            stride = self.value(inner["input_stride"], f"{path}.input_stride")
            self.check_whole(stride, f"{path}.input_stride", 1, 1_000)
        return CellNode(
            nodes=self.whole(inner.get("nodes", 1), f"{path}.nodes", 1, 64),
            edges=self.edges(inner.get("edges", "dense"), f"{path}.edges"),
            operations=self.options(inner.get("ops", {"none": {"layer": "zero"}}), f"{path}.ops", depth),
            inputs=self.whole(inner["inputs"], f"{path}.inputs", 1, _MAX_INPUTS) if "inputs" in inner else 0,
            pre=self.node(inner["pre"], f"{path}.pre", depth + 1) if "pre" in inner else None,
            input_stride=stride,
            join=self.merge(inner["join"], f"{path}.join") if "join" in inner else "",
            output=self.merge(inner["output"], f"{path}.output", ("last", "sum", "concat"))
            if "output" in inner
            else "",
            **common,
        )

    def edges(self, data: object, path: str) -> SparseEdges | None:
        if data == "dense":
            return None
        if not isinstance(data, Mapping):
            self.fault(
                path,
                f"expected dense or {{k: ..., distinct: ...}}, found {show(data)}{mean(data, ('dense',))}",
            )
            return None
        inner = self.mapping(data, path, ("k", "distinct"), required=("k",)) or {}
        distinct = inner.get("distinct", True)
        if not isinstance(distinct, bool):
            self.fault(f"{path}.distinct", f"expected true or false, found {show(distinct)}")
            distinct = True
        return SparseEdges(self.whole(inner.get("k", 1), f"{path}.k", 1, 64), distinct)

    def residual(self, fields: Mapping[str, Any], path: str, depth: int, common: Mapping[str, Any]) -> Node:
        return ResidualNode(body=self.node(fields["residual"], f"{path}.residual", depth + 1), **common)

    def scan(self, fields: Mapping[str, Any], path: str, depth: int, common: Mapping[str, Any]) -> Node:
        path = f"{path}.scan"
        inner = self.mapping(fields["scan"], path, ("state", "body"), required=("state", "body")) or {}
        states = self.bindings(inner.get("state", {}), f"{path}.state")
        if "state" in inner and not states and isinstance(inner["state"], Mapping):
            self.fault(f"{path}.state", "a scan needs at least one state, name: width")
        for name, width in states:
            if name in _STEP_PORTS:
                self.fault(f"{path}.state.{name}", f"{name} is {_STEP_PORTS[name]}; choose another name")
            self.check_whole(width, f"{path}.state.{name}", 1, 1_000_000)
        return ScanNode(states=states, body=self.child(inner, "body", f"{path}.body", depth), **common)

    def map(self, fields: Mapping[str, Any], path: str, depth: int, common: Mapping[str, Any]) -> Node:
        inner = (
            self.mapping(fields["map"], f"{path}.map", ("over", "body", "weights"), ("over", "body")) or {}
        )
        if common["sources"]:
            self.fault(f"{path}.from", "a map reads the tensors that over names; write them there")
        path = f"{path}.map"
        over = self.tensors(inner["over"], f"{path}.over") if "over" in inner else ()
        for number, name in enumerate(over):
            if name in over[:number]:
                self.fault(f"{path}.over[{number}]", f"{name!r} occurs twice")
        return MapNode(
            over=over,
            body=self.child(inner, "body", f"{path}.body", depth),
            weights=self.sharing(inner, "weights", path),
            **common,
        )

    # -------------------------------------------------------------- parts

    def use(self, fields: Mapping[str, Any], path: str, depth: int, common: Mapping[str, Any]) -> Node:
        path = f"{path}.use"
        data = fields["use"]
        inner: Mapping[str, Any] = {"part": data}
        place = path
        if not isinstance(data, str):
            known = ("part", "with", "decisions", "weights")
            if not isinstance(data, Mapping):
                self.fault(path, f"expected a part's name or {{part: ...}}, found {show(data)}")
                inner = {}
            else:
                inner = self.mapping(data, path, known, required=("part",)) or {}
            place = f"{path}.part"
        part = self.text(inner["part"], place) if "part" in inner else ""
        return UseNode(
            part=part,
            body=self.part(part, place, depth),
            arguments=self.bindings(inner.get("with", {}), f"{path}.with"),
            decisions=self.sharing(inner, "decisions", path),
            weights=self.sharing(inner, "weights", path),
            **common,
        )

    def part(self, name: str, path: str, depth: int) -> Node:
        """The node of a part used at a depth; a placeholder where there is none."""
        placeholder = LayerNode(operation="identity", where=path)
        if not name:
            return placeholder
        if name not in self.written:
            known = suggest(name, self.written) if self.written else " (the space has no parts)"
            self.fault(path, f"there is no part {name!r}{known}")
            return placeholder
        if name in self.open:
            ring = " > ".join([*self.open[self.open.index(name) :], name])
            self.fault(path, f"part {name!r} uses itself: {ring}")
            return placeholder
        found = self.parts.get(name)
        if found is None:
            return self.read_part(name, depth).node
        self.count(found.size, path)
        if depth + found.height > MAX_DEPTH:
            self.too_deep(path)
            return placeholder
        self.deepest = max(self.deepest, depth + found.height)
        return found.node

    def read_part(self, name: str, depth: int) -> _Part:
        """Read a part for the first time, at the depth of its use."""
        before, deepest = self.nodes, self.deepest
        self.open.append(name)
        self.deepest = depth
        node = self.node(self.written[name], f"parts.{name}", depth + 1)
        part = self.parts[name] = _Part(node, self.nodes - before, self.deepest - depth)
        self.open.pop()
        self.deepest = max(deepest, self.deepest)
        return part


_READERS: Mapping[str, Callable[[NodeReader, Mapping[str, Any], str, int, Mapping[str, Any]], Node]] = {
    "layer": NodeReader.layer,
    "sequence": NodeReader.sequence,
    "choice": NodeReader.choice,
    "repeat": NodeReader.repeat,
    "cell": NodeReader.cell,
    "parallel": NodeReader.parallel,
    "residual": NodeReader.residual,
    "use": NodeReader.use,
    "scan": NodeReader.scan,
    "map": NodeReader.map,
}
