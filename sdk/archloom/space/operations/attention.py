"""Gates and attention."""

from __future__ import annotations

from archloom.space.operations.kinds import MOST, SAME
from archloom.space.operations.registry import register
from archloom.space.operations.spec import OpSpec, Parameter

register(
    OpSpec(
        "squeeze_excite",
        1,
        {"image": SAME["image"]},
        (Parameter("reduction", "int", 4, 1, MOST, summary="Channels over the gate's hidden ones."),),
        weights="2 * c * max(1, c // reduction) + max(1, c // reduction) + c",
        multiply_adds="2 * c * max(1, c // reduction)",
        zero_to_zero="true",
        causal="false",
        slicing={"c": "prefix", "reduction": "prefix"},
        summary="Channels scaled by a gate of the whole image (Hu et al. 2018).",
    )
)
