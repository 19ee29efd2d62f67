"""A hash of a network that does not change when layers are renamed, renumbered, or listed in another order.

1. Every piece (``pieces``) gets a colour from its labels and its inputs' colours (summed where their order
   plays no part).
2. The network is written down by a walk from its outputs up, depth first, in the order of each layer's
   inputs; inputs whose order plays no part are taken by colour. The text tells the whole network, layer by
   layer, and where the inputs of no layer share a colour, it is the same however the network was listed, and
   cut into pieces.
3. Where two different inputs share one, colours are made finer once: by what reads each layer, and then by
   its inputs again. Inputs that still share a colour may stand in any order if they are alike throughout,
   each a chain of its own from the same tensor; else the network is left to ``refinement``: exact too, and
   slower.

Each step is taken or not by the network's form alone, so equal networks take the same ones. Colours are 61
bits wide: two that agree by accident cost time, nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from itertools import pairwise

from archloom.space.networks.colours import Sources, colours_from_above, finer_colours
from archloom.space.networks.pieces import LABEL, Piece, labelled
from archloom.space.networks.refinement import refined_form


class _Tie(Exception):
    """Two inputs share a colour, and their order plays no part."""


def hash_of_pieces(
    pieces: Sequence[Piece],
    sources: Sources,
    groups: Mapping[int, str],
    inputs: Mapping[str, int],
    outputs: Mapping[str, int],
) -> str:
    """Lower-case hex of a network's canonical form. What reads a piece reads its last layer; what no output
    reads plays no part, inputs apart. groups: of the pieces, each of one
    layer, that share weights.
    """
    if inputs:
        pieces = list(pieces)
        for name, node in inputs.items():
            pieces[node] = _port(pieces[node].text, name)
    colours = colours_from_above(pieces, sources)
    names = sorted(outputs)
    roots = [outputs[name] for name in names]
    try:
        form = b"plain", _Walk(pieces, sources, groups).text(roots, colours, inputs)
    except _Tie:
        finer, readers = finer_colours(pieces, colours, sources, roots)
        try:
            form = b"finer", _Walk(pieces, sources, groups, readers).text(roots, finer, inputs)
        except _Tie:
            form = b"refined", refined_form(*_layers(pieces, sources, groups, inputs, roots))
    digest = sha256(form[0] + repr(names).encode())
    digest.update(form[1])
    return digest.hexdigest()


@lru_cache(maxsize=10_000)
def _port(label: bytes, name: str) -> Piece:
    """An input, which is labelled by its name too."""
    return labelled(sha256(label + b"input:" + name.encode()).digest()[:LABEL], False)


def _layers(
    pieces: Sequence[Piece],
    sources: Sources,
    groups: Mapping[int, str],
    inputs: Mapping[str, int],
    roots: Sequence[int],
) -> tuple[list[bytes], list[bool], list[tuple[int, ...]], list[str], list[int], list[int]]:
    """Labels, orders, inputs and groups of the layers one by one; the inputs and the roots among them."""
    labels: list[bytes] = []
    ordered: list[bool] = []
    moved: list[tuple[int, ...]] = []
    shared: list[str] = []
    last: list[int] = []  # the last layer of each piece
    for number, (piece, before) in enumerate(zip(pieces, sources, strict=True)):
        reads = tuple([last[source] for source in before])
        for end in range(len(piece.text), 0, -LABEL):
            labels.append(piece.text[end - LABEL : end])
            ordered.append(piece.ordered and len(before) != 1)
            moved.append(reads)
            shared.append(groups.get(number, ""))
            reads = (len(labels) - 1,)
        last.append(len(labels) - 1)
    return labels, ordered, moved, shared, [last[node] for node in inputs.values()], [last[n] for n in roots]


class _Walk:
    """Writes a network down: labels in the order of the walk, and marks where it is no chain. A mark is the
    number of layers written before it, and a number that tells its kind by its remainder of 3, so the text
    can be read in one way only.
    """

    def __init__(
        self,
        pieces: Sequence[Piece],
        sources: Sources,
        groups: Mapping[int, str],
        readers: Sequence[int] | None = None,
    ) -> None:
        self.pieces = pieces
        self.sources = sources
        self.groups = groups
        self.readers = readers  # with them, inputs that are alike throughout may tie

    def text(self, roots: Sequence[int], colours: Sequence[int], inputs: Mapping[str, int]) -> bytes:
        """Raises _Tie where colours leave an order open."""
        pieces, sources, groups = self.pieces, self.sources, self.groups
        seen = [-1] * len(pieces)
        names: dict[str, int] = {}
        written: list[bytes] = []
        marks: list[int] = []
        left = list(reversed(roots))
        count = 0
        while left:
            node = left.pop()
            while True:
                if seen[node] >= 0:
                    marks += (count, 3 * seen[node])
                    break
                if groups and node in groups:
                    marks += (count, 3 * names.setdefault(groups[node], len(names)) + 1)
                seen[node] = count
                piece, before = pieces[node], sources[node]
                written.append(piece.text)
                if len(before) == 1:
                    count += piece.count
                    node = before[0]
                    continue
                marks += (count, 3 * len(before) + 2)
                count += 1
                if len(before) > 1 and not piece.ordered:
                    before = self.arranged(before, colours)
                left.extend(before[::-1])
                break
        loose = sorted(pieces[node].text for node in inputs.values() if seen[node] < 0)
        return b"".join((f"{count} {len(roots)} {marks}\n".encode(), *written, *loose))

    def arranged(self, before: tuple[int, ...], colours: Sequence[int]) -> tuple[int, ...]:
        """Inputs by colour."""
        if len(before) == 2:
            one, other = before
            if colours[one] < colours[other]:
                return before
            if colours[one] > colours[other]:
                return other, one
        found = sorted(before, key=lambda node: (colours[node], node))
        for one, other in pairwise(found):
            if one != other and colours[one] == colours[other] and not self.alike(one, other):
                raise _Tie
        return tuple(found)

    def alike(self, one: int, other: int) -> bool:
        """Whether two tensors surely stand for each other: each is read here alone, and comes by a chain of
        equal layers, each read once, from the same tensors.
        """
        return self.readers is not None and self.branch(one) == self.branch(other)

    def branch(self, node: int) -> tuple[bytes, bool, tuple[int, ...]]:
        """The labels of the layers, each read once and with weights of its own, that lead to a tensor; and
        the tensors that the first one reads, or the tensor that is no such layer's.
        """
        assert self.readers is not None
        text: list[bytes] = []
        while self.readers[node] == 1 and node not in self.groups:
            piece, before = self.pieces[node], self.sources[node]
            text.append(piece.text)
            if len(before) != 1:
                return b"".join(text), True, before if piece.ordered else tuple(sorted(before))
            node = before[0]
        return b"".join(text), False, (node,)
