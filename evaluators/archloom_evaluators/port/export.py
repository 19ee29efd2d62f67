"""Any network as a plain Python file that needs torch alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from archloom.space import Graph
from torch import nn

from archloom_evaluators.build.network import layer_key
from archloom_evaluators.build.registry import BuildFailed, build_operation
from archloom_evaluators.port.classes import Block, Classes, Constant
from archloom_evaluators.port.errors import ExportError
from archloom_evaluators.port.folding import MERGES, Kind, Piece, fold
from archloom_evaluators.port.forward import steps_of, write_forward
from archloom_evaluators.port.layout import Bracket, Repeated, Text, call, lay_out
from archloom_evaluators.port.recording import Construction, construct
from archloom_evaluators.port.sources import Sources, import_block

_INPUT_NAMES = ("x", "y", "z")


@dataclass(frozen=True)
class PythonNetwork:
    """``text`` is the file, with a class ``Network``; ``weights`` says for each name of
    ``build_module(graph).state_dict()`` what the tensor is called in the file's ``state_dict()``.
    """

    text: str
    weights: Mapping[str, str]


def export_python(graph: Graph, title: str = "") -> PythonNetwork:
    """The network as code. ``title`` says in a comment where it comes from.

    Raises ExportError where a layer cannot be written so.
    """
    return _Exporter(graph).export(title)


def weights_map(graph: Graph) -> Mapping[str, str]:
    """``export_python(graph).weights``."""
    return export_python(graph).weights


class _Exporter:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.sources = Sources()
        self.sources.imports.update({"from torch import Tensor", "from torch import nn"})
        self.modules: dict[str, nn.Module] = {}
        self.made: dict[int, Construction] = {}
        known: dict[str, Construction] = {}
        for node in graph.nodes:
            if node.op == "input" or node.op in MERGES:
                continue
            if node.weights_key not in known:
                try:
                    module, made = construct(lambda: build_operation(node.operation))  # noqa: B023
                    self.check(made)
                except (ExportError, BuildFailed) as error:
                    raise ExportError(f"layer {node.path!r} ({node.op}): {error}") from None
                self.modules[node.weights_key], known[node.weights_key] = module, made
            self.made[node.id] = known[node.weights_key]
        self.root = fold(graph)
        self.classes = Classes(graph, self.root, self.made, set(self.sources.definitions))
        self.operations = {node.id: node.op for node in graph.nodes}

    def check(self, made: Construction) -> None:
        """Find the class's source and see that its arguments can be written."""
        if self.sources.name(made.kind) == "Network":
            raise ExportError("a layer's class is called Network, as the whole is")
        for name, value in made.arguments:
            if isinstance(value, Construction):
                self.check(value)
            else:
                written(value, name)

    def export(self, title: str) -> PythonNetwork:
        blocks = [self.block(block) for block in self.classes.blocks]
        if any("torch." in line for lines in blocks for line in lines):
            self.sources.imports.add("import torch")
        header = [f"# {line}" if line else "#" for line in title.splitlines()]
        header.append(f"# Architecture {self.graph.hash}")
        header.append(f"# {self.graph.parameters:,} parameters")
        definitions = ["\n".join(lines) for lines in blocks]
        parts = [
            "\n".join(header) + "\n\n" + import_block(self.sources.imports),
            *self.sources.definitions.values(),
            *definitions,
        ]
        return PythonNetwork("\n\n\n".join(parts) + "\n", self.weights())

    # -------------------------------------------------------------- classes

    def block(self, block: Block) -> list[str]:
        """A class."""
        parameters: list[Text] = ["self"]
        for name, value in zip(block.parameters, block.values, strict=True):
            parameters.append(f"{name}: {annotation(value)}")
        values: list[Text | None] = [
            None if column is None else block.parameters[column] for column in block.columns
        ]
        reader = _Values(values)
        lines = [f"class {block.name}(nn.Module):"]
        init = lay_out("def ", call("__init__", parameters), " -> None:", 4)
        body = ["        super().__init__()"]
        names = self.classes.names(block.first)
        seen: set[object] = set()
        for piece in block.first.pieces:
            if piece.kind is not Kind.MERGE and piece.instance not in seen:
                seen.add(piece.instance)
                body += lay_out(f"self.{names[piece.instance]} = ", self.module(piece, reader), "", 8)
        if len(body) > 1:
            lines += [*init, *body, ""]
        return [*lines, *self.forward(block, names)]

    def forward(self, block: Block, names: Mapping[object, str]) -> list[str]:
        piece = block.first
        if piece.output < 0:
            inputs = {number: name for name, number in self.graph.inputs.items()}
            outputs: Mapping[str, int] = self.graph.outputs
        else:
            inputs = {
                number: _INPUT_NAMES[place] if place < len(_INPUT_NAMES) else f"x{place + 1}"
                for place, number in enumerate(piece.reads)
            }
            outputs = {"": piece.output}
        given: list[Text] = ["self", *(f"{name}: Tensor" for name in inputs.values())]
        yields = "Tensor" if len(outputs) == 1 else "dict[str, Tensor]"
        head = lay_out("def ", call("forward", given), f" -> {yields}:", 4)
        steps = steps_of(piece, names, self.operations)
        return [*head, *write_forward(steps, inputs, outputs, 8)]

    # -------------------------------------------------------------- modules

    def module(self, piece: Piece, values: _Values) -> Text:
        """The expression that makes a module."""
        if piece.kind is Kind.LAYER:
            return self.construction(self.made[piece.output], values)
        if piece.kind is Kind.BLOCK:
            return self.instance(piece, values)
        items = [self.module(part, values) for part in piece.pieces]
        return call("nn.Sequential", _folded(items))

    def instance(self, piece: Piece, values: _Values) -> Text:
        return call(
            self.classes.of[piece].name, [values.write(value) for value in self.classes.constants(piece)]
        )

    def construction(self, made: Construction, values: _Values) -> Bracket:
        items: list[Text] = []
        for name, value in made.arguments:
            before = f"{name}=" if name else ""
            if isinstance(value, Construction):
                inner = self.construction(value, values)
                items.append(
                    Bracket(before + inner.opening, inner.items) if isinstance(inner, Bracket) else ""
                )
            elif isinstance(value, type) or callable(value):
                items.append(before + written(value, name))
            else:
                items.append(f"{before}{values.write((name, value))}")
        return call(self.sources.name(made.kind), items)

    # -------------------------------------------------------------- weights

    def weights(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for key, place in self.places(self.root, ""):
            for name in self.modules[key].state_dict():
                here, there = f"layers.{layer_key(key)}.{name}", f"{place}.{name}"
                if found.setdefault(here, there) != there:
                    raise ExportError(f"the weights {key!r} came to stand in two places")
        return found

    def places(self, piece: Piece, prefix: str) -> list[tuple[str, str]]:
        """(key of the weights, attribute) of each layer."""
        if piece.kind is Kind.LAYER:
            return [(self.graph[piece.output].weights_key, prefix)]
        names = self.classes.names(piece) if piece.kind is Kind.BLOCK else {}
        found = []
        for number, part in enumerate(piece.pieces):
            if part.kind is not Kind.MERGE:
                name = str(number) if piece.kind is Kind.CHAIN else names[part.instance]
                found += self.places(part, f"{prefix}.{name}" if prefix else name)
        return found


class _Values:
    """Gives out a block's constants in order: as parameters of the class where they differ."""

    def __init__(self, names: list[Text | None]) -> None:
        self._names = iter(names)

    def write(self, constant: Constant) -> str:
        name = next(self._names)
        return written(constant[1], constant[0]) if name is None else str(name)


def _folded(items: list[Text]) -> list[Text]:
    """Three equal items or more in a row as a repetition."""
    result: list[Text] = []
    place = 0
    while place < len(items):
        count = 1
        while place + count < len(items) and items[place + count] == items[place]:
            count += 1
        item = items[place]
        if count >= 3 and not isinstance(item, Repeated):
            result.append(Repeated(item, count))
        else:
            result += items[place : place + count]
        place += count
    return result


def annotation(value: object) -> str:
    if isinstance(value, tuple):
        return "tuple" if not value else f"tuple[{annotation(value[0])}, ...]"
    return "None" if value is None else type(value).__name__


def written(value: Any, name: str) -> str:
    """A value as Python has it; raises ExportError."""
    if isinstance(value, str):
        text = repr(value)
        return '"' + text[1:-1].replace('"', '\\"') + '"' if text[0] == "'" else text
    if value is None or isinstance(value, (bool, int)):
        return repr(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else f'float("{value}")'
    if isinstance(value, tuple):
        inside = ", ".join(written(each, name) for each in value)
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    module = getattr(value, "__module__", "") or ""
    if isinstance(value, type) and getattr(nn, value.__name__, None) is value:
        return f"nn.{value.__name__}"
    if callable(value) and hasattr(value, "__name__") and module.partition(".")[0] == "torch":
        return f"{module}.{getattr(value, '__name__', '')}"
    raise ExportError(f"its argument {name or 'given by position'} is {value!r}, which cannot be written")
