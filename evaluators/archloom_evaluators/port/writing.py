"""A graph as classes of Python code."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from archloom.space import Graph, GraphNode
from torch import nn

from archloom_evaluators.build.network import layer_key
from archloom_evaluators.build.registry import BuildFailed, build_operation
from archloom_evaluators.port.classes import Block, Classes, Constant
from archloom_evaluators.port.errors import ExportError
from archloom_evaluators.port.folding import MERGES, Kind, Piece, fold
from archloom_evaluators.port.forward import steps_of, write_forward
from archloom_evaluators.port.layout import Bracket, Repeated, Text, call, lay_out
from archloom_evaluators.port.recording import Construction, construct
from archloom_evaluators.port.sources import Sources

_INPUT_NAMES = ("x", "y", "z")


class NetworkWriter:
    """Writes a network as a class ``name`` and the classes of its blocks; those of its layers go to
    ``sources``. ``returns``: what ``forward`` answers where there are several outputs, "dict" or "tuple".

    Raises ExportError where a layer cannot be written.
    """

    def __init__(self, graph: Graph, sources: Sources, name: str = "Network", returns: str = "dict") -> None:
        self.graph = graph
        self.sources = sources
        self.returns = returns
        sources.imports.update({"from torch import Tensor", "from torch import nn"})
        # What the state_dict() of the layer at each key is called here and in the file.
        self.renamed: dict[str, Mapping[str, str]] = {}
        self.made: dict[int, Construction] = {}
        known: dict[str, Construction] = {}
        for node in graph.nodes:
            if node.op == "input" or node.op in MERGES:
                continue
            if node.weights_key not in known:
                try:
                    known[node.weights_key], self.renamed[node.weights_key] = self.make(node)
                except (ExportError, BuildFailed) as error:
                    raise ExportError(f"layer {node.path!r} ({node.op}): {error}") from None
            self.made[node.id] = known[node.weights_key]
        self.root = fold(graph)
        self.classes = Classes(graph, self.root, self.made, {name, *sources.definitions})
        self.classes.blocks[-1].name = name
        self.operations = {node.id: node.op for node in graph.nodes}

    def make(self, node: GraphNode) -> tuple[Construction, Mapping[str, str]]:
        if node.operation.body is not None:
            from archloom_evaluators.port.scans import write_scan

            return write_scan(node, self.sources)
        module, made = construct(lambda: build_operation(node.operation))
        self.check(made)
        return made, {name: name for name in module.state_dict()}

    def check(self, made: Construction) -> None:
        """Find the class's source and see that its arguments can be written."""
        if self.sources.name(made.kind) == "Network":
            raise ExportError("a layer's class is called Network, as the whole is")
        for name, value in made.arguments:
            if isinstance(value, Construction):
                self.check(value)
            else:
                written(value, name)

    def definitions(self) -> dict[str, str]:
        """Name -> text of each class, in an order in which they can be read."""
        found = {block.name: "\n".join(self.block(block)) for block in self.classes.blocks}
        if any("torch." in text for text in found.values()):
            self.sources.imports.add("import torch")
        return found

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
        init = lay_out("def ", call("__init__", parameters), " -> None:", 4)
        if block.first.kind is Kind.CHAIN:
            parts = self.sequential("super().__init__", block.first, reader)
            return [f"class {block.name}(nn.Sequential):", *init, *lay_out("", parts, "", 8)]
        lines = [f"class {block.name}(nn.Module):"]
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
        several = "dict[str, Tensor]" if self.returns == "dict" else "tuple[Tensor, ...]"
        yields = "Tensor" if len(outputs) == 1 else several
        head = lay_out("def ", call("forward", given), f" -> {yields}:", 4)
        steps = steps_of(piece, names, self.operations)
        return [*head, *write_forward(steps, inputs, outputs, 8, self.returns)]

    # -------------------------------------------------------------- modules

    def module(self, piece: Piece, values: _Values) -> Text:
        """The expression that makes a module."""
        if piece.kind is Kind.LAYER:
            return self.construction(self.made[piece.output], values)
        if piece in self.classes.of:
            return self.instance(piece, values)
        return self.sequential("nn.Sequential", piece, values)

    def sequential(self, name: str, piece: Piece, values: _Values) -> Bracket:
        items = [self.module(part, values) for part in piece.pieces]
        return call(name, _folded(items))

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
            for name, renamed in self.renamed[key].items():
                here, there = f"layers.{layer_key(key)}.{name}", f"{place}.{renamed}"
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
    module = str(getattr(value, "__module__", ""))
    own = str(getattr(value, "__name__", ""))
    if isinstance(value, type) and getattr(nn, own, None) is value:
        return f"nn.{own}"
    if callable(value) and own and module.partition(".")[0] == "torch":
        return f"{module}.{own}"
    raise ExportError(f"its argument {name or 'given by position'} is {value!r}, which cannot be written")
