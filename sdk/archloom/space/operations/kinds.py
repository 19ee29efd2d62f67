"""What the specs of several families have in common."""

from __future__ import annotations

from archloom.space.operations.spec import Parameter

SAME = {"image": ("image", ("c", "h", "w")), "seq": ("seq", ("c", "t")), "vector": ("vector", ("c",))}
"""The shape of the input, of the kinds that have channels."""
MOST = 1_000_000
STRIDE = Parameter("stride", "int", 1, 1, 1_000, summary="Keeps every stride-th position.")


def out(default: str | None = None) -> Parameter:
    return Parameter("out", "int", default, 1, MOST, summary="Channels of the output.")


def bias(default: str | bool = "=not normed") -> Parameter:
    return Parameter("bias", "bool", default, summary="Whether a learnt constant is added to each channel.")


def window(size: str, extent: str) -> str:
    """Length after a window of ``extent`` moves over ``size``; padding is even, or all before (causal)."""
    return f"({size} - {extent}) // stride + 1 if padding == 'valid' else ({size} - 1) // stride + 1"


def windowed(channels: str, extent: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    """The shapes that a window over the positions of an image or a seq yields."""
    return {
        "image": ("image", (channels, window("h", extent), window("w", extent))),
        "seq": ("seq", (channels, window("t", extent))),
    }


PADDINGS = ("same", "valid", "causal")
CAUSAL_ON_SEQ = ("padding != 'causal' or kind == 'seq'", "an image has no time for a causal padding")
