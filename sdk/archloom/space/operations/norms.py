"""Normalisations, all affine."""

from __future__ import annotations

from archloom.space.operations.kinds import SAME
from archloom.space.operations.registry import register
from archloom.space.operations.spec import OpSpec

register(
    OpSpec("batch_norm", 1, SAME, weights="2 * c", zero_to_zero="true", slicing={"c": "prefix"},
           summary="Batch normalisation, affine (Ioffe and Szegedy 2015).")
)  # fmt: skip
register(
    OpSpec("layer_norm", 1, SAME, weights="2 * c", zero_to_zero="true", slicing={"c": "prefix"},
           summary="Normalisation over the channels of each position, affine (Ba et al. 2016).")
)  # fmt: skip

NORMS = {"batch": "batch_norm", "layer": "layer_norm"}
"""A layer's ``norm`` -> the operation that it is."""
