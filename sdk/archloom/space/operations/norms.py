"""Normalisations, all affine."""

from __future__ import annotations

from archloom.space.operations.kinds import MOST, SAME
from archloom.space.operations.registry import register
from archloom.space.operations.spec import OpSpec, Parameter

_SPATIAL = {kind: SAME[kind] for kind in ("image", "seq")}
_BY_CHANNEL = {"c": "prefix"}

register(
    OpSpec(
        "batch_norm",
        1,
        SAME,
        weights="2 * c",
        zero_to_zero="true",
        slicing=_BY_CHANNEL,
        summary="Normalisation of each channel over the batch (Ioffe and Szegedy 2015).",
    )
)
register(
    OpSpec(
        "layer_norm",
        1,
        SAME,
        weights="2 * c",
        zero_to_zero="true",
        slicing=_BY_CHANNEL,
        summary="Normalisation over the channels of each position (Ba et al. 2016).",
    )
)
register(
    OpSpec(
        "rms_norm",
        1,
        SAME,
        weights="c",
        zero_to_zero="true",
        slicing=_BY_CHANNEL,
        summary="The channels of each position over their root mean square (Zhang and Sennrich 2019).",
    )
)
register(
    OpSpec(
        "group_norm",
        1,
        SAME,
        (
            Parameter(
                "groups",
                "int",
                "=32 if c % 32 == 0 and c > 32 else 8 if c % 8 == 0 and c > 8 else 1",
                1,
                MOST,
                summary="Parts of the channels that are normalised apart.",
            ),
        ),
        requires=(
            ("c % groups == 0", "groups do not divide the channels"),
            ("positions > 1 or groups < c", "a group of one value would always be normalised to zero"),
        ),
        weights="2 * c",
        zero_to_zero="true",
        causal="kind == 'vector'",
        slicing={"c": "prefix", "groups": "none"},
        summary="Normalisation of groups of channels over all positions (Wu and He 2018).",
    )
)
register(
    OpSpec(
        "instance_norm",
        1,
        _SPATIAL,
        requires=(("positions > 1", "one position would always be normalised to zero"),),
        weights="2 * c",
        zero_to_zero="true",
        causal="false",
        slicing=_BY_CHANNEL,
        summary="Normalisation of each channel over all positions (Ulyanov et al. 2016).",
    )
)

NORMS = {
    "batch": "batch_norm",
    "layer": "layer_norm",
    "group": "group_norm",
    "rms": "rms_norm",
    "instance": "instance_norm",
}
"""A layer's ``norm`` -> the operation that it is."""
