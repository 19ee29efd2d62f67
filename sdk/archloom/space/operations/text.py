"""Tokens and positions."""

from __future__ import annotations

from archloom.space.operations.kinds import out
from archloom.space.operations.registry import register
from archloom.space.operations.spec import OpSpec, Parameter

register(
    OpSpec(
        "embedding",
        1,
        {"tokens": ("seq", ("out", "t"))},
        (Parameter("vocabulary", "int", None, 1, 10_000_000, summary="Number of different tokens."), out()),
        weights="vocabulary * out",
        slicing={"out": "prefix", "vocabulary": "prefix"},
        summary="A learnt vector for each token.",
    )
)
register(
    OpSpec(
        "position",
        1,
        {"seq": ("seq", ("c", "t"))},
        (
            Parameter(
                "kind",
                "text",
                "learned",
                choices=("learned", "sinusoidal"),
                summary="A learnt vector a position, or fixed sines (Vaswani et al. 2017).",
            ),
        ),
        weights="c * t if kind == 'learned' else 0",
        slicing={"c": "prefix", "t": "prefix"},
        summary="Adds to each position's channels what tells where it is.",
    )
)
register(
    OpSpec(
        "class_token",
        1,
        {"seq": ("seq", ("c", "t + 1"))},
        weights="c",
        slicing={"c": "prefix"},
        summary="A learnt position before the first (Devlin et al. 2019).",
    )
)
register(
    OpSpec(
        "ngram_bag",
        1,
        {"tokens": ("vector", ("out",))},
        (
            Parameter("n", "int", 2, 1, 10, summary="Longest run of tokens that counts as one."),
            Parameter("buckets", "int", 10_000, 1, 10_000_000, summary="Vectors that n-grams are hashed to."),
            out(),
        ),
        requires=(("n <= t", "the runs are longer than the input"),),
        weights="buckets * out",
        causal="false",
        slicing={"out": "prefix", "buckets": "none"},
        summary="Mean of the learnt vectors of all n-grams, which are hashed (Joulin et al. 2017).",
    )
)
