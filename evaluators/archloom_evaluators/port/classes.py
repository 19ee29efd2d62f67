"""Which blocks are alike, and what distinguishes them: one class for all blocks of one form, whose
constructor takes the numbers in which they differ.
"""

from __future__ import annotations

import inspect
import keyword
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from archloom.space import Graph
from torch import nn

from archloom_evaluators.port.folding import Kind, Piece, Segments, split_path
from archloom_evaluators.port.recording import Construction

_TAKEN = frozenset(dir(nn.Module())) | frozenset(keyword.kwlist) | {"self", "torch", "nn", "Tensor"}
_LONG = 4
"""A chain of so many layers is worth a class where it repeats."""
Constant = tuple[str, object]
"""A name for a number, and the number."""


@dataclass
class Block:
    """A class of the file. ``names`` are the attributes' of the first piece's modules, by instance."""

    pieces: list[Piece]
    name: str = ""
    parameters: list[str] = field(default_factory=list)
    values: list[object] = field(default_factory=list)  # those of the first piece
    columns: list[int | None] = field(default_factory=list)  # of each constant, the parameter it takes

    @property
    def first(self) -> Piece:
        return self.pieces[0]


class Classes:
    """All blocks of a network, the innermost first; the whole is the last."""

    def __init__(self, graph: Graph, root: Piece, made: Mapping[int, Construction], taken: set[str]) -> None:
        self.graph = graph
        self.made = made
        self._form: dict[Piece, object] = {}
        self._names: dict[Piece, dict[object, str]] = {}
        self._arguments: dict[Piece, list[Constant]] = {}
        self._taken = set(taken)
        forms: dict[object, Block] = {}
        repeated = self._repeated_chains(root)
        for piece in _inner_first(root):
            if piece.kind is Kind.BLOCK or self.form(piece) in repeated:
                forms.setdefault(self.form(piece), Block([])).pieces.append(piece)
        self.of: dict[Piece, Block] = {piece: block for block in forms.values() for piece in block.pieces}
        self.blocks = list(forms.values())
        for block in self.blocks:
            self._lift(block)
        for block in self.blocks[:-1]:
            block.name = self._class_name([self._path(piece) for piece in block.pieces])
        self.blocks[-1].name = "Network"

    def _repeated_chains(self, root: Piece) -> set[object]:
        """Forms of long chains that would have to be written in several places."""
        places: dict[object, set[object]] = {}
        for parent in _inner_first(root):
            for number, piece in enumerate(parent.pieces):
                if piece.kind is Kind.CHAIN and len(piece.pieces) >= _LONG:
                    places.setdefault(self.form(piece), set()).add((self.form(parent), number))
        return {form for form, found in places.items() if len(found) > 1}

    def form(self, piece: Piece) -> object:
        """Equal for pieces that read alike but for their constants."""
        if piece not in self._form:
            self._form[piece] = self._form_of(piece)
        return self._form[piece]

    def _form_of(self, piece: Piece) -> object:
        if piece.kind is Kind.LAYER:
            return construction_form(self.made[piece.output])
        if piece.kind is Kind.MERGE:
            return (self.graph[piece.output].op, len(piece.reads))
        if piece.kind is Kind.CHAIN:
            return ("chain", *map(self.form, piece.pieces))
        local = {number: -1 - place for place, number in enumerate(piece.reads)}
        steps = []
        names = self.names(piece)
        for place, part in enumerate(piece.pieces):
            steps.append(
                (names.get(part.instance, ""), self.form(part), tuple(local[read] for read in part.reads))
            )
            local[part.output] = place
        outputs = self.graph.outputs.items() if piece.output < 0 else (("", piece.output),)
        return ("block", len(piece.reads), tuple(steps), tuple((n, local[o]) for n, o in outputs))

    def names(self, piece: Piece) -> dict[object, str]:
        """The attribute of each module of a block, by instance."""
        if piece not in self._names:
            segments: dict[object, Segments] = {}
            for part in piece.pieces:
                if part.kind is Kind.MERGE:
                    continue
                own = part.segments or (self._own_name(part),)
                if part.instance in segments:
                    own = _common(segments[part.instance], own) or own
                segments[part.instance] = own
            self._names[piece] = dict(zip(segments, attribute_names(list(segments.values())), strict=True))
        return self._names[piece]

    def _own_name(self, piece: Piece) -> str:
        return self.graph[piece.output].op if piece.kind is Kind.LAYER else "body"

    def constants(self, piece: Piece) -> list[Constant]:
        """All constants of a piece, in the order in which it reads; those of a block are its arguments."""
        if piece.kind is Kind.LAYER:
            return list(construction_constants(self.made[piece.output]))
        if piece in self.of:
            return self._arguments[piece]
        return [constant for part in piece.pieces for constant in self.constants(part)]

    def _lift(self, block: Block) -> None:
        """Find the constants in which the pieces of a block differ; equal columns are one parameter."""
        rows = [self.inner_constants(piece) for piece in block.pieces]
        columns: dict[tuple[object, ...], int] = {}
        for place, (name, _) in enumerate(rows[0]):
            column = tuple(_told(row[place][1]) for row in rows)
            if len(set(column)) == 1:
                block.columns.append(None)
                continue
            if column not in columns:
                columns[column] = len(columns)
                block.parameters.append(_unique(name, block.parameters))
                block.values.append(rows[0][place][1])
            block.columns.append(columns[column])
        for piece, row in zip(block.pieces, rows, strict=True):
            first = {column: place for place, column in reversed(list(enumerate(block.columns)))}
            self._arguments[piece] = [
                (name, row[first[number]][1]) for number, name in enumerate(block.parameters)
            ]

    def inner_constants(self, piece: Piece) -> list[Constant]:
        """The constants of a block's modules, each module once."""
        seen: set[object] = set()
        found: list[Constant] = []
        for part in piece.pieces:
            if part.instance not in seen:
                seen.add(part.instance)
                found += self.constants(part)
        return found

    def _path(self, piece: Piece) -> Segments:
        """Where all of it stands in the space."""
        paths = [split_path(self.graph[number].path) for number in piece.members]
        return _shared_start(paths)

    def _class_name(self, paths: Sequence[Segments]) -> str:
        words = [[w for w in path if not w.startswith("[")] for path in paths]
        tails = {path[-1].rstrip("'") if path else "" for path in words}
        if len(tails) > 1:  # stage1, stage2
            tails = {tail.rstrip("0123456789_") for tail in tails}
        base = tails.pop() if len(tails) == 1 else ""
        name = "".join(part[:1].upper() + part[1:] for part in re.split(r"\W|_", base)) or "Block"
        indexed = all(path and path[-1].startswith("[") for path in paths)
        if (indexed and name != "Block") or len(name) < 3:
            name += "Block"
        if name[0].isdigit():
            name = f"Block{name}"
        found, number = name, 2
        while found in self._taken or found == "Network":
            found, number = f"{name}{number}", number + 1
        self._taken.add(found)
        return found


def construction_form(made: Construction) -> object:
    return (made.kind, tuple((name, _value_form(value)) for name, value in made.arguments))


def _value_form(value: object) -> object:
    if isinstance(value, Construction):
        return construction_form(value)
    return value if isinstance(value, type) or callable(value) else None


def construction_constants(made: Construction) -> Iterator[Constant]:
    names = _positional_names(made)
    for (name, value), spare in zip(made.arguments, names, strict=True):
        if isinstance(value, Construction):
            yield from construction_constants(value)
        elif not (isinstance(value, type) or callable(value)):
            yield name or spare, value


def _positional_names(made: Construction) -> list[str]:
    known = [
        name
        for name, parameter in inspect.signature(made.kind.__init__).parameters.items()
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ][1:]
    return [known[place] if place < len(known) else "value" for place in range(len(made.arguments))]


def attribute_names(paths: Sequence[Segments]) -> list[str]:
    """Of each path the shortest end that no other path has, as a name."""
    flat = [[re.sub(r"\W", "", word.replace("'", "_2")) for word in path] for path in paths]
    found: list[str] = []
    for path in flat:
        length = 1
        while length < len(path) and (
            path[-length][:1].isdigit() or sum(other[-length:] == path[-length:] for other in flat) > 1
        ):
            length += 1
        name = "_".join(path[-length:])
        found.append(_unique(f"layer_{name}" if name[:1].isdigit() or not name else name, found))
    return found


def _unique(name: str, taken: Sequence[str]) -> str:
    if name in _TAKEN:
        name += "_"
    found, number = name, 2
    while found in taken:
        found, number = f"{name}_{number}", number + 1
    return found


def _shared_start(paths: Sequence[Segments]) -> Segments:
    """The words with which all begin."""
    low, high = min(paths), max(paths)
    return tuple(a for a, _ in takewhile(lambda pair: pair[0] == pair[1], zip(low, high, strict=False)))


def _common(one: Segments, other: Segments) -> Segments:
    """What two paths agree on, word by word."""
    return tuple(a for a, b in zip(one, other, strict=False) if a == b)


def _told(value: Any) -> object:
    return (type(value), repr(value))


def _inner_first(piece: Piece) -> Iterator[Piece]:
    for part in piece.pieces:
        yield from _inner_first(part)
    yield piece
