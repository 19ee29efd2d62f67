"""From plain data (YAML, JSON) to the tree, with every fault and its path.

A fault never stops the reading: the reader notes it, puts a placeholder where the value should be, and goes
on; at the end it raises one SpaceError with all of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from archloom.space.domains import Choice
from archloom.space.errors import SpaceError, suggest
from archloom.space.expressions import Expression
from archloom.space.operations import (
    ACTIVATION_NAMES,
    COMPOSITES,
    MERGES,
    NORMS,
    Parameter,
    layer_names,
    load_plugins,
    operation_specs,
)
from archloom.space.read_values import FAULTY, LATER_KEYS, ValueReader, samples, show
from archloom.space.scoping import check_names
from archloom.space.tree import (
    KINDS,
    MAX_DEPTH,
    MAX_NODES,
    CellNode,
    ChoiceNode,
    InputPort,
    LayerNode,
    Node,
    ParallelNode,
    RepeatNode,
    ResidualNode,
    SequenceNode,
    SpaceTree,
    SparseEdges,
    Value,
    segments,
)

_TOP = ("name", "description", "let", "input", "body", "output", "recipe", "constraints")
_COMMON = ("name", "let", "when", "adapt")
_EXTRA = {"parallel": ("merge",)}
_LATER = ("use", "scan", "map")
_RESERVED = (
    "adapt",
    "merge",
    "norm",
    "activation",
    "count",
    "layer",
    "sum",
    "mul",
    "concat",
    "task",
    "recipe",
    "input",
)
_OPTION = re.compile(r"[A-Za-z0-9_]{1,100}")
LAYER_EXTRAS = {
    "norm": Parameter("norm", "text", "none", choices=("none", *NORMS)),
    "activation": Parameter("activation", "text", "none", choices=("none", *ACTIVATION_NAMES)),
}
"""Parameters of every layer whose operation a norm and an activation may follow."""


def read_space(data: object) -> SpaceTree:
    """The tree of a space written as plain data; raises SpaceError."""
    reader = _Reader()
    tree = reader.space(data)
    if tree is not None:
        check_names(tree, reader.fault)
    if reader.violations or tree is None:
        raise SpaceError(reader.violations)
    return tree


class _Reader(ValueReader):
    def __init__(self) -> None:
        super().__init__()
        self.nodes = 0

    def space(self, data: object) -> SpaceTree | None:
        fields = self.mapping(data, "", _TOP, required=("input", "body"))
        if fields is None:
            return None
        constraints = tuple(
            self.expression(text, f"constraints[{number}]", known={"params", "flops"})
            for number, text in enumerate(self.items(fields.get("constraints", []), "constraints"))
        )
        outputs = [
            self.name(o, f"output[{n}]") for n, o in enumerate(self.items(fields.get("output", []), "output"))
        ]
        if len(outputs) > 1:
            self.fault("output", "several outputs are not supported yet")
        return SpaceTree(
            name=self.text(fields.get("name", ""), "name"),
            description=self.text(fields.get("description", ""), "description"),
            let=self.bindings(fields.get("let", {}), "let"),
            inputs=self.inputs(fields.get("input", {})),
            body=self.child(fields, "body", "body", 0),
            outputs=tuple(outputs),
            recipe=self.bindings(fields.get("recipe", {}), "recipe"),
            constraints=tuple(c for c in constraints if c is not None),
        )

    def inputs(self, data: object) -> tuple[InputPort, ...]:
        fields = self.mapping(data, "input", None) or {}
        if len(fields) != 1:
            self.fault("input", f"expected one input, found {len(fields)} (several are not supported yet)")
        ports = []
        for name, port in fields.items():
            path = f"input.{name}"
            self.name(name, path)
            values = self.mapping(port, path, ("kind", "shape"), required=("kind", "shape"))
            if values is None:
                continue
            kind = self.one_of(values.get("kind"), f"{path}.kind", tuple(KINDS))
            shape = tuple(
                self.value(size, f"{path}.shape[{number}]")
                for number, size in enumerate(self.items(values.get("shape", []), f"{path}.shape"))
            )
            for number, size in enumerate(shape):
                if not isinstance(size, Expression) and (type(size) is not int or not 1 <= size <= 1_000_000):
                    self.fault(
                        f"{path}.shape[{number}]", f"expected a size or an expression, found {show(size)}"
                    )
            if kind and len(shape) != KINDS[kind]:
                self.fault(f"{path}.shape", f"{kind} has {KINDS[kind]} dimensions, here are {len(shape)}")
            ports.append(InputPort(name, kind, shape))
        return tuple(ports)

    # ------------------------------------------------------------- nodes

    def child(self, fields: Mapping[str, Any], key: str, path: str, depth: int) -> Node:
        """The node of a required field, whose absence has been noted."""
        if key not in fields:
            return LayerNode(operation="identity", where=path)
        return self.node(fields[key], path, depth + 1)

    def node(self, data: object, path: str, depth: int) -> Node:
        """A node; a placeholder where there is none."""
        placeholder = LayerNode(operation="identity", where=path)
        self.nodes += 1
        if depth > MAX_DEPTH or self.nodes > MAX_NODES:
            limit = f"deeper than {MAX_DEPTH} nodes" if depth > MAX_DEPTH else f"more than {MAX_NODES} nodes"
            self.fault_once(path if depth > MAX_DEPTH else "body", f"the tree is {limit}")
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
            "name": self.name(fields["name"], f"{path}.name", _RESERVED) if "name" in fields else "",
            "let": self.bindings(fields.get("let", {}), f"{path}.let"),
            "when": self.expression(fields["when"], f"{path}.when") if "when" in fields else None,
            "adapt": self.adapt(kind, fields, path),
            "where": path,
        }
        return _READERS[kind](self, fields, path, depth, common)

    def wrong_kind(self, fields: Mapping[str, Any], kinds: list[str], path: str) -> None:
        later = [kind for kind in _LATER if kind in fields]
        if kinds:
            self.fault(path, f"a node has one kind, this one has {' and '.join(kinds)}")
        elif later:
            self.fault(f"{path}.{later[0]}", f"{later[0]!r} is not supported yet")
        else:
            found = [key for key in fields if key not in _COMMON]
            hint = suggest(found[0], _READERS) if found else ""
            known = "" if hint.startswith(" (known") else f"; kinds: {', '.join(_READERS)}"
            self.fault(path, f"no kind of node among {', '.join(fields) or 'no keys'}{hint}{known}")

    def adapt(self, kind: str, fields: Mapping[str, Any], path: str) -> str:
        if "adapt" not in fields:
            return ""
        rules = {
            "residual": ("error", "project", "skip"),
            "parallel": ("error", "project"),
            "cell": ("error", "project"),
        }
        if kind not in rules:
            self.fault(f"{path}.adapt", f"a {kind} joins nothing; adapt stands at {', '.join(rules)}")
            return ""
        return self.one_of(fields["adapt"], f"{path}.adapt", rules[kind])

    def layer(self, fields: Mapping[str, Any], path: str, depth: int, common: Mapping[str, Any]) -> Node:
        operation = self.value(fields["layer"], f"{path}.layer")
        known: set[str] = set()
        usable = layer_names()
        if any(name not in usable and name not in COMPOSITES for name in _names(operation)):
            load_plugins()
            usable = layer_names()
        names = _names(operation)
        for name in names:
            if not isinstance(name, str):
                self.fault(
                    f"{path}.layer", f"expected an operation's name or a choice of names, found {show(name)}"
                )
            elif name in COMPOSITES:
                known |= COMPOSITES[name].names
            elif name in usable:
                spec = operation_specs()[name]
                known |= {*spec.by_name, *(LAYER_EXTRAS if spec.follows else ())}
            else:
                self.fault(
                    f"{path}.layer", f"there is no operation {name!r}{suggest(name, [*usable, *COMPOSITES])}"
                )
                known |= {key for key in fields if key not in LATER_KEYS}
        parameters = {key: value for key, value in fields.items() if key not in (*_COMMON, "layer")}
        read = []
        for key in sorted(parameters):
            place = f"{path}.{key}"
            if key not in known:
                later = key in LATER_KEYS
                hint = (
                    " is not supported yet"
                    if later
                    else f" is no parameter of {show(operation)}{suggest(key, known)}"
                )
                self.fault(place, f"{key!r}{hint}")
                continue
            value = self.value(parameters[key], place)
            for name in names:
                self.parameter(name, key, value, place)
            read.append((key, value))
        for name in names:
            self.required(name, parameters, path)
        return LayerNode(operation=operation, parameters=tuple(read), **common)

    def parameter(self, operation: object, key: str, value: Value, path: str) -> None:
        """Whether a constant, or each value of a domain, may be this parameter of this operation."""
        if operation in COMPOSITES:
            parameter = LAYER_EXTRAS.get(key)
        else:
            spec = operation_specs().get(str(operation))
            if spec is None or key not in {*spec.by_name, *LAYER_EXTRAS}:
                return
            parameter = spec.by_name.get(key) or LAYER_EXTRAS[key]
        if parameter is None or isinstance(value, Expression):
            return
        for sample in samples(value):
            if wrong := parameter.check(sample):
                self.fault_once(path, wrong)

    def required(self, operation: object, parameters: Mapping[str, Any], path: str) -> None:
        needed: list[str] = []
        if operation in COMPOSITES:
            needed = [
                name for name, default in COMPOSITES[str(operation)].parameters.items() if default is None
            ]
        elif operation in operation_specs():
            needed = [p.name for p in operation_specs()[str(operation)].parameters if p.default is None]
        for name in needed:
            if name not in parameters:
                self.fault(path, f"{operation} needs {name!r}")

    def sequence(self, fields: Mapping[str, Any], path: str, depth: int, common: Mapping[str, Any]) -> Node:
        return SequenceNode(nodes=self.siblings(fields["sequence"], f"{path}.sequence", depth), **common)

    def parallel(self, fields: Mapping[str, Any], path: str, depth: int, common: Mapping[str, Any]) -> Node:
        nodes = self.siblings(fields["parallel"], f"{path}.parallel", depth)
        merge = self.merge(fields["merge"], f"{path}.merge") if "merge" in fields else ""
        return ParallelNode(nodes=nodes, merge=merge, **common)

    def merge(self, data: object, path: str, known: tuple[str, ...] = MERGES) -> Value:
        value = self.value(data, path)
        for sample in value.values if isinstance(value, Choice) else (value,):
            if sample is not FAULTY and sample not in known:
                self.fault(path, f"expected {', '.join(known)} or a choice of them, found {show(sample)}")
        return value

    def siblings(self, data: object, path: str, depth: int) -> tuple[Node, ...]:
        items = self.items(data, path)
        if not items and isinstance(data, list):
            self.fault(path, "expected at least one node")
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
        options = self.mapping(data, path, None) or {}
        if not options and isinstance(data, Mapping):
            self.fault(path, "a choice needs at least one option")
        for name in options:
            if not _OPTION.fullmatch(name):
                self.fault(f"{path}.{name}", "an option's name consists of letters, digits and underscores")
        return tuple((name, self.node(node, f"{path}.{name}", depth + 1)) for name, node in options.items())

    def repeat(self, fields: Mapping[str, Any], path: str, depth: int, common: Mapping[str, Any]) -> Node:
        path = f"{path}.repeat"
        inner = self.mapping(
            fields["repeat"], path, ("count", "body", "decisions", "weights"), required=("count", "body")
        )
        if inner is None:
            inner = {"count": 1, "body": {"layer": "identity"}}
        count = self.value(inner.get("count", 1), f"{path}.count")
        self.check_count(count, f"{path}.count")
        tied = (
            self.one_of(inner["decisions"], f"{path}.decisions", ("tied", "free"))
            if "decisions" in inner
            else ""
        )
        shared = (
            self.one_of(inner["weights"], f"{path}.weights", ("separate", "shared"))
            if "weights" in inner
            else ""
        )
        body = self.child(inner, "body", f"{path}.body", depth)
        return RepeatNode(count=count, body=body, decisions=tied, weights=shared, **common)

    def cell(self, fields: Mapping[str, Any], path: str, depth: int, common: Mapping[str, Any]) -> Node:
        path = f"{path}.cell"
        known = ("pre", "nodes", "edges", "ops", "join", "output")
        inner = self.mapping(fields["cell"], path, known, required=("nodes", "edges", "ops")) or {}
        return CellNode(
            nodes=self.whole(inner.get("nodes", 1), f"{path}.nodes", 1, 64),
            edges=self.edges(inner.get("edges", "dense"), f"{path}.edges"),
            operations=self.options(inner.get("ops", {"none": {"layer": "zero"}}), f"{path}.ops", depth),
            pre=self.node(inner["pre"], f"{path}.pre", depth + 1) if "pre" in inner else None,
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
            self.fault(path, f"expected dense or {{k: ..., distinct: ...}}, found {show(data)}")
            return None
        inner = self.mapping(data, path, ("k", "distinct"), required=("k",)) or {}
        distinct = inner.get("distinct", True)
        if not isinstance(distinct, bool):
            self.fault(f"{path}.distinct", f"expected true or false, found {show(distinct)}")
            distinct = True
        return SparseEdges(self.whole(inner.get("k", 1), f"{path}.k", 1, 64), distinct)

    def residual(self, fields: Mapping[str, Any], path: str, depth: int, common: Mapping[str, Any]) -> Node:
        return ResidualNode(body=self.node(fields["residual"], f"{path}.residual", depth + 1), **common)


_READERS: Mapping[str, Callable[[_Reader, Mapping[str, Any], str, int, Mapping[str, Any]], Node]] = {
    "layer": _Reader.layer,
    "sequence": _Reader.sequence,
    "choice": _Reader.choice,
    "repeat": _Reader.repeat,
    "cell": _Reader.cell,
    "parallel": _Reader.parallel,
    "residual": _Reader.residual,
}


def _names(operation: Value) -> tuple[object, ...]:
    return operation.values if isinstance(operation, Choice) else (operation,)
