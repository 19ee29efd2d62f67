"""Colours of a network's pieces, equal for those that stand for each other in equal networks.

A layer with one input maps the colour above it by an affine map modulo a prime, which its label gives. Such
maps compose, so a row of layers is one step, and its last layer's colour does not depend on how it was cut.
Where several tensors meet, colours are mixed by what is not affine. They are the same on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence

from archloom.space.networks.pieces import PRIME, Piece

Sources = Sequence[tuple[int, ...]]

_PLACE = 0xD1B54A32D192ED03 % PRIME
_ODD = 0x9E3779B97F4A7C15 % PRIME  # 2**64 over the golden ratio: it spreads bits (Knuth 1973)


def colours_from_above(pieces: Sequence[Piece], sources: Sources) -> list[int]:
    """A colour for each piece's last layer by the labels and the inputs' colours."""
    colours: list[int] = []
    add = colours.append
    for piece, before in zip(pieces, sources, strict=True):
        if len(before) == 1:
            add((colours[before[0]] * piece.times + piece.plus) % PRIME)
        else:
            add(_mixed(piece, before, colours))
    return colours


def _mixed(piece: Piece, before: tuple[int, ...], colours: Sequence[int]) -> int:
    """The colour of a layer with several inputs, or none."""
    mixed = len(before)
    if piece.ordered:
        for source in before:
            mixed = (mixed * _PLACE + colours[source]) % PRIME
    else:
        for source in before:
            colour = colours[source]
            mixed += (colour ^ (colour >> 31)) * _PLACE
    return (mixed % PRIME * piece.times + piece.plus) % PRIME


def finer_colours(
    pieces: Sequence[Piece], colours: Sequence[int], sources: Sources, roots: Sequence[int]
) -> tuple[list[int], list[int]]:
    """Colours that also tell what reads a layer, and its place there; and how often each layer is read, by
    what reaches an output.

    What reads it is put in only where a layer is read several times: one that is read once, by a layer whose
    inputs have no order, differs in that from none of the other inputs there.
    """
    below = [0] * len(colours)
    readers = [0] * len(colours)
    for place, root in enumerate(roots):
        readers[root] += 1
        below[root] += _PLACE * (place + 1)
    for node in range(len(sources) - 1, -1, -1):
        if not readers[node]:
            continue
        before, piece, colour = sources[node], pieces[node], below[node] % PRIME
        if readers[node] > 1:
            colour ^= colours[node]
            colour = below[node] = (colour ^ (colour >> 31)) * _ODD % PRIME
        if len(before) == 1:
            below[before[0]] += (colour * piece.times + piece.plus_below) % PRIME
            readers[before[0]] += 1
            continue
        colour ^= colours[node]
        colour = (colour ^ (colour >> 31)) * _ODD % PRIME
        for place, source in enumerate(before):
            below[source] += (colour ^ (place + 1)) * _PLACE % PRIME if piece.ordered else colour
            readers[source] += 1
    finer: list[int] = []
    for node, (piece, before) in enumerate(zip(pieces, sources, strict=True)):
        if len(before) == 1:
            colour = (finer[before[0]] * piece.times + piece.plus) % PRIME
        else:
            colour = _mixed(piece, before, finer)
        finer.append((colour ^ below[node]) * _ODD % PRIME if readers[node] > 1 else colour)
    return finer, readers
