"""A hash of a network that does not change when layers are renamed, renumbered, or listed in another order.

1. Every node gets a colour from its label and its inputs' colours (summed where their order plays no part).
2. The network is written down by a walk from its outputs up, depth first, in the order of each node's inputs;
   inputs whose order plays no part are taken by colour. The text tells the whole network, and where the
   inputs of no node share a colour, it is the same however the network was listed.
3. Where two different inputs share one, colours are made finer once: by what reads each node, and then by its
   inputs again. Inputs that still share a colour may stand in any order if they are alike throughout, each a
   chain of its own from the same tensor; else the network is left to ``refinement``: exact too, and slower.

Each step is taken or not by the network's form alone, so equal networks take the same ones. Colours are 64
bits wide: two that agree by accident cost time, nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from itertools import pairwise

from archloom.space.networks.colours import Sources, colours_from_above, finer_colours
from archloom.space.networks.refinement import refined_form


class _Tie(Exception):
    """Two inputs share a colour, and their order plays no part."""


def canonical_hash(
    labels: Sequence[bytes],
    ordered: Sequence[bool],
    sources: Sources,
    groups: Sequence[str],
    inputs: Mapping[str, int],
    outputs: Mapping[str, int],
) -> str:
    """Lower-case hex of a network's canonical form.

    Of each node: its label, whether its inputs are ordered, its inputs (earlier nodes), its weight-sharing
    group or "". What no output reads plays no part, inputs apart.
    """
    if inputs or any(len(label) != 16 for label in labels):
        labels = _sixteen(labels, inputs)
    colours = colours_from_above(labels, ordered, sources)
    names = sorted(outputs)
    roots = [outputs[name] for name in names]
    walk = _Walk(labels, ordered, sources, groups)
    try:
        form = b"plain", walk.text(roots, colours, inputs)
    except _Tie:
        walk = _Walk(labels, ordered, sources, groups)
        walk.readers = _readers(sources, roots)
        finer = finer_colours(colours, ordered, sources, roots)
        try:
            form = b"finer", walk.text(roots, finer, inputs)
        except _Tie:
            form = b"refined", refined_form(labels, ordered, sources, groups, inputs, roots)
    digest = sha256(form[0] + repr(names).encode())
    digest.update(form[1])
    return digest.hexdigest()


def _sixteen(labels: Sequence[bytes], inputs: Mapping[str, int]) -> list[bytes]:
    """Labels of 16 bytes; inputs are labelled by their names too."""
    whole = [label if len(label) == 16 else sha256(label).digest()[:16] for label in labels]
    for name, node in inputs.items():
        whole[node] = sha256(whole[node] + b"input:" + name.encode()).digest()[:16]
    return whole


def _readers(sources: Sources, roots: Sequence[int]) -> list[int]:
    """How often each node is read."""
    readers = [0] * len(sources)
    for before in sources:
        for source in before:
            readers[source] += 1
    for root in roots:
        readers[root] += 1
    return readers


class _Walk:
    """Writes a network down: labels in the order of the walk, and marks where it is no chain. A mark begins
    with the number of nodes written before it, so the text can be read in one way only.
    """

    def __init__(
        self, labels: Sequence[bytes], ordered: Sequence[bool], sources: Sources, groups: Sequence[str]
    ) -> None:
        self.labels = labels
        self.ordered = ordered
        self.sources = sources
        self.groups = groups
        self.readers: list[int] | None = None  # with them, inputs that are alike throughout may tie

    def text(self, roots: Sequence[int], colours: Sequence[int], inputs: Mapping[str, int]) -> bytes:
        """Raises _Tie where colours leave an order open."""
        labels, sources, groups = self.labels, self.sources, self.groups
        seen = [-1] * len(labels)
        names: dict[str, int] = {}
        written: list[bytes] = []
        marks: list[str] = []
        left = list(reversed(roots))
        count = 0
        while left:
            node = left.pop()
            while True:
                if seen[node] >= 0:
                    marks.append(f"{count}={seen[node]}")
                    break
                if groups[node]:
                    marks.append(f"{count}@{names.setdefault(groups[node], len(names))}")
                seen[node] = count
                written.append(labels[node])
                before = sources[node]
                if len(before) == 1:
                    count += 1
                    node = before[0]
                    continue
                marks.append(f"{count}({len(before)}")
                count += 1
                if not self.ordered[node] and len(before) > 1:
                    before = self.arranged(before, colours)
                left.extend(before[::-1])
                break
        loose = sorted(labels[node] for node in inputs.values() if seen[node] < 0)
        return b"".join((f"{count} {len(roots)} {' '.join(marks)}\n".encode(), *written, *loose))

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
            if one != other and colours[one] == colours[other] and not self.alike(one, other, colours):
                raise _Tie
        return tuple(found)

    def alike(self, one: int, other: int, colours: Sequence[int]) -> bool:
        """Whether two tensors surely stand for each other: each is read here alone, and comes by a chain of
        equal layers, each read once, from one tensor.
        """
        if self.readers is None:
            return False
        labels, sources, groups, readers = self.labels, self.sources, self.groups, self.readers
        while one != other:
            if labels[one] != labels[other] or readers[one] != 1 or readers[other] != 1:
                return False
            if groups[one] or groups[other]:
                return False
            if len(sources[one]) != 1 or len(sources[other]) != 1:
                if self.ordered[one]:
                    return sources[one] == sources[other]
                return sorted(sources[one]) == sorted(sources[other])
            one, other = sources[one][0], sources[other][0]
        return True
