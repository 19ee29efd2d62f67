"""Recurrent layers as torch has them. Cells of one's own are written with ``scan``."""

from __future__ import annotations

from archloom.space.operations.kinds import MOST
from archloom.space.operations.registry import register
from archloom.space.operations.spec import OpSpec, Parameter

_COMMON = (
    Parameter("out", "int", None, 1, MOST, summary="Hidden units of each direction."),
    Parameter("layers", "int", 1, 1, 100, summary="Layers on each other."),
    Parameter("bidirectional", "bool", False, summary="Whether a second reads backwards; both are joined."),
)
_WAYS = "(2 if bidirectional else 1)"
_DEEPER = f"(layers - 1) * ({_WAYS} * out + out"

for _name, _gates, _own, _summary in (
    ("lstm", 4, (), "Long short-term memory (Hochreiter and Schmidhuber 1997)."),
    ("gru", 3, (), "Gated recurrent unit (Cho et al. 2014)."),
    (
        "rnn",
        1,
        (Parameter("nonlinearity", "text", "tanh", choices=("tanh", "relu"), summary="Activation inside."),),
        "Simple recurrent layer (Elman 1990).",
    ),
):
    register(
        OpSpec(
            _name,
            1,
            {"seq": ("seq", (f"out * {_WAYS}", "t"))},
            (*_COMMON, *_own),
            weights=f"{_WAYS} * {_gates} * out * (c + out + 2 + {_DEEPER} + 2))",
            multiply_adds=f"{_WAYS} * {_gates} * out * (c + out + {_DEEPER})) * t",
            causal="not bidirectional",
            slicing={"out": "segments", "c": "prefix", "layers": "prefix"},
            summary=_summary,
        )
    )
