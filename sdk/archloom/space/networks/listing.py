"""What the builder emits: pieces, in the order in which they are made."""

from __future__ import annotations

from collections.abc import Sequence

from archloom.space.networks.pieces import Piece
from archloom.space.operations import Operation


class Listing:
    """Parallel lists, one item a piece. Paths are made of them when they are asked for.

    sources: the pieces that it reads; places and ends: together, where its layers stand. shared: of pieces
    inside a repetition that shares weights, its place and the name of all repetitions together.
    """

    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self.sources: list[tuple[int, ...]] = []
        self.places: list[str] = []
        self.ends: list[str] = []
        self.shared: dict[int, tuple[str, str]] = {}
        self.layers = 0

    def add(self, piece: Piece, sources: tuple[int, ...], place: str, end: str = "") -> int:
        """The number of the new piece."""
        self.pieces.append(piece)
        self.sources.append(sources)
        self.places.append(place)
        self.ends.append(end)
        self.layers += piece.count
        return len(self.pieces) - 1

    def paths(self) -> list[list[str]]:
        """Of each piece those of its layers, marked where one is taken: such as by the sum of a residual
        whose body is a residual.
        """
        taken: set[str] = set()
        found = []
        for piece, place, end in zip(self.pieces, self.places, self.ends, strict=True):
            paths = []
            for tail in piece.ends:
                path = place + end + tail
                while path in taken:
                    path += "'"
                taken.add(path)
                paths.append(path)
            found.append(paths)
        return found

    def groups(self, paths: Sequence[Sequence[str]]) -> dict[int, str]:
        """The weight-sharing groups of the pieces that have one: layers that hold the same weights at the
        same place of a repetition.
        """
        kept: dict[str, dict[object, str]] = {}  # name -> weights -> where these are kept
        found = {}
        for number, (here, shared) in self.shared.items():
            [path] = paths[number]
            group = f"{shared}{path[len(here) :]}"
            kinds = kept.setdefault(group, {})
            weights = weights_of(self.pieces[number].operations[0])
            found[number] = kinds.setdefault(weights, f"{group}#{len(kinds)}" if kinds else group)
        return found


def weights_of(operation: Operation) -> object:
    """What operations that hold the same weights agree on: all but the lengths along space and time."""
    inputs = tuple([(shape.kind, shape.channels) for shape in operation.inputs])
    body = "" if operation.body is None else operation.body.hash
    return (operation.name, operation.version, operation.parameters, inputs, operation.weights, body)
