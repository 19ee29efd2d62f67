"""Pieces of a network: a layer, or layers in a row of which each reads only the one before.

Whatever is worked out along a row of layers is worked out piece by piece, and does not depend on where the
row is cut into pieces: texts are joined, affine maps composed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

from archloom.space.operations import Operation

PRIME = 2**61 - 1
"""Colours are numbers below it."""
LABEL = 16
"""Bytes of a label."""
_ASSOCIATIVE = ("sum", "mul")


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Layers in a row, each but the last read by the next one alone. A layer with several inputs, or none, is
    a piece of its own.

    text: the labels, the last layer's first, as a walk from the outputs up meets them. The colour of the
    last layer is ``times * c + plus`` of the colour c of what the first one reads; seen from below it is
    ``times * c + plus_below``. ends: what each layer adds to the piece's place in the space. associative: the
    operation's name where it is a sum or a product.
    """

    text: bytes
    count: int
    times: int
    plus: int
    plus_below: int
    ordered: bool
    operations: tuple[Operation, ...] = ()
    ends: tuple[str, ...] = ("",)
    associative: str = ""
    weights: int = 0
    flops: int = 0


@lru_cache(maxsize=100_000)
def labelled(label: bytes, ordered: bool) -> Piece:
    """One layer, of which no more is known than its label."""
    if len(label) != LABEL:
        label = sha256(label).digest()[:LABEL]
    half = LABEL // 2
    times = 1 + int.from_bytes(label[:half], "big") % (PRIME - 1)
    plus = int.from_bytes(label[half:], "big") % PRIME
    return Piece(label, 1, times, plus, plus, ordered)


@lru_cache(maxsize=100_000)
def single(operation: Operation) -> Piece:
    """One layer."""
    bare = labelled(operation.label, operation.ordered)
    name = operation.name
    return Piece(
        text=bare.text,
        count=1,
        times=bare.times,
        plus=bare.plus,
        plus_below=bare.plus_below,
        ordered=operation.ordered,
        operations=(operation,),
        associative=name if name in _ASSOCIATIVE else "",
        weights=operation.weights,
        flops=operation.flops,
    )


def joined(pieces: Sequence[Piece], ends: Sequence[str]) -> Piece:
    """Pieces of layers with one input each, in a row, as one. ends: what each adds to the place of all."""
    times, plus, plus_below = 1, 0, 0
    for piece in pieces:
        times, plus = piece.times * times % PRIME, (piece.times * plus + piece.plus) % PRIME
    for piece in reversed(pieces):
        plus_below = (piece.times * plus_below + piece.plus_below) % PRIME
    return Piece(
        text=b"".join([piece.text for piece in reversed(pieces)]),
        count=sum([piece.count for piece in pieces]),
        times=times,
        plus=plus,
        plus_below=plus_below,
        ordered=False,
        operations=tuple([operation for piece in pieces for operation in piece.operations]),
        ends=tuple([end + tail for piece, end in zip(pieces, ends, strict=True) for tail in piece.ends]),
        weights=sum([piece.weights for piece in pieces]),
        flops=sum([piece.flops for piece in pieces]),
    )
