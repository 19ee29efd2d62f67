"""The canonical network of what was emitted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import chain

from archloom.space.networks.graph import Assembly, Graph
from archloom.space.networks.listing import Listing
from archloom.space.networks.pieces import Piece, single
from archloom.space.operations import resolve


def prune(listing: Listing, inputs: Mapping[str, int], outputs: Mapping[str, int]) -> Graph:
    """The graph of what reaches an output; inputs stay. Ports are numbers of pieces.

    A sum that is read once, by another sum, is part of it (products likewise).
    """
    pieces, sources = listing.pieces, listing.sources
    uses = _uses(listing, (*inputs.values(), *outputs.values()))
    absorbed = {
        source
        for number, piece in enumerate(pieces)
        if piece.associative and number in uses
        for source in sources[number]
        if uses[source] == 1 and pieces[source].associative == piece.associative
    }
    groups = listing.groups(listing.paths()) if listing.shared else {}
    if not absorbed and len(uses) == len(pieces):
        return Graph.assembled(
            Assembly(pieces, sources, groups, inputs, outputs, listing, range(len(pieces)))
        )
    moved: dict[int, int] = {}
    terms: dict[int, list[int]] = {}
    kept: list[int] = []
    new: list[Piece] = []
    reads: list[tuple[int, ...]] = []
    for number in sorted(uses):
        piece, before = pieces[number], sources[number]
        flat: list[int] = []
        for source in before:
            flat.extend(terms[source] if source in absorbed else (moved[source],))
        if number in absorbed:
            terms[number] = flat
            continue
        if len(flat) > len(before):
            [operation] = piece.operations
            piece = single(resolve(operation.name, (), (operation.shape,) * len(flat)))
        moved[number] = len(kept)
        kept.append(number)
        new.append(piece)
        reads.append(tuple(flat))
    return Graph.assembled(
        Assembly(
            new,
            reads,
            {moved[number]: group for number, group in groups.items() if number in moved},
            {name: moved[node] for name, node in inputs.items()},
            {name: moved[node] for name, node in outputs.items()},
            listing,
            kept,
        )
    )


def _uses(listing: Listing, ports: tuple[int, ...]) -> Counter[int]:
    """How often what reaches an output reads each piece, a port counting twice; without what is dead."""
    sources = listing.sources
    uses = Counter(chain.from_iterable(sources))
    for port in ports:
        uses[port] += 2
    if len(uses) == len(sources):  # each is read: what follows its readers ends at a port
        return uses
    uses = Counter()
    for port in ports:
        uses[port] += 2
    for number in range(len(sources) - 1, -1, -1):
        if number in uses:
            for source in sources[number]:
                uses[source] += 1
    return uses
