"""Colours of a network's nodes, equal for nodes that stand for each other in equal networks.

They are numbers of 64 bits, the same on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

Sources = Sequence[tuple[int, ...]]

_MASK = 2**64 - 1
_ODD = 0x9E3779B97F4A7C15  # 2**64 over the golden ratio: a multiplier that spreads bits (Knuth 1973)
_PLACE = 0xD1B54A32D192ED03


def colours_from_above(labels: Sequence[bytes], ordered: Sequence[bool], sources: Sources) -> list[int]:
    """A colour for each node by its label (of 8 bytes at least) and its inputs' colours."""
    return _colours([_number(label) for label in labels], ordered, sources)


@lru_cache(maxsize=200_000)
def _number(label: bytes) -> int:
    return int.from_bytes(label[:8], "big")


def _colours(own: Sequence[int], ordered: Sequence[bool], sources: Sources) -> list[int]:
    """A colour for each node by its own number and its inputs' colours."""
    colours: list[int] = []
    add = colours.append
    for node, before in enumerate(sources):
        if len(before) == 1:
            add(((colours[before[0]] ^ own[node]) * _ODD) & _MASK)
        else:
            mixed = len(before)
            if ordered[node]:
                for source in before:
                    mixed = (mixed * _PLACE + colours[source]) & _MASK
            else:
                for source in before:
                    colour = colours[source]
                    mixed += (colour ^ (colour >> 31)) * _PLACE
            add((((mixed & _MASK) ^ own[node]) * _ODD) & _MASK)
    return colours


def finer_colours(
    colours: Sequence[int], ordered: Sequence[bool], sources: Sources, roots: Sequence[int]
) -> list[int]:
    """Colours that also tell what reads a node, and its place there; and then the inputs' new colours."""
    below = [0] * len(colours)
    for place, root in enumerate(roots):
        below[root] += _PLACE * (place + 1)
    for node in range(len(sources) - 1, -1, -1):
        colour = colours[node] ^ (below[node] & _MASK)
        colour = ((colour ^ (colour >> 31)) * _ODD) & _MASK
        below[node] = colour
        for place, source in enumerate(sources[node]):
            if ordered[node]:
                below[source] += ((colour ^ (place + 1)) * _PLACE) & _MASK
            else:
                below[source] += colour
    return _colours(below, ordered, sources)
