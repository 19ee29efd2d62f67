"""Hypothesis strategies for whole random spaces: what holds for these holds for the grammar."""

from __future__ import annotations

from typing import Any

from archloom.space import Space, SpaceError
from hypothesis import strategies as st

Data = dict[str, Any]

_WIDTH = st.sampled_from([2, 4, {"choice": [2, 4]}, "=cin", "=2*cin if cin < 8 else cin"])
_KERNEL = st.sampled_from([1, 3, {"choice": [1, 3]}])
_NORM = st.sampled_from(["none", "batch", "layer", {"choice": ["none", "batch"]}])
_ACTIVATION = st.sampled_from(["none", "relu", "sigmoid", {"choice": ["silu", "tanh"]}])
_MERGE = st.sampled_from(["sum", "concat", "mul", {"choice": ["sum", "mul"]}])

_CONV = st.fixed_dictionaries(
    {"layer": st.just("conv"), "k": _KERNEL},
    optional={"out": _WIDTH, "norm": _NORM, "activation": _ACTIVATION, "bias": st.booleans()},
)
_OTHER = st.sampled_from(
    [
        {"layer": "relu"},
        {"layer": "identity"},
        {"layer": "zero"},
        {"layer": "batch_norm"},
        {"layer": "prelu"},
        {"layer": "squeeze_excite", "reduction": {"choice": [1, 2]}},
        {"layer": "dropout", "p": {"choice": [0.0, 0.5]}},
        {"layer": {"choice": ["max_pool", "avg_pool"]}, "k": 3},
        {"layer": "max_pool", "k": 2, "stride": 2},
        {"layer": "separable", "k": {"choice": [3, 5]}},
        {"layer": "inverted_bottleneck", "expand": {"choice": [1, 2]}, "squeeze": {"bool": [False, True]}},
        {"layer": {"choice": ["conv", "depthwise"]}, "k": 3, "norm": "batch"},
    ]
)


def _option(node: Data) -> Data:
    return {key: value for key, value in node.items() if key != "name"}


def _inner(nodes: st.SearchStrategy[Data]) -> st.SearchStrategy[Data]:
    some = st.lists(nodes, min_size=1, max_size=3)
    options = st.lists(nodes, min_size=1, max_size=3).map(lambda found: dict(zip("abc", found, strict=False)))
    sequence = some.map(lambda found: {"sequence": found})
    choice = options.map(lambda found: {"choice": found})
    parallel = st.builds(
        lambda found, merge: {"parallel": found, "merge": merge, "adapt": "project"}, some, _MERGE
    )
    residual = st.builds(
        lambda body, adapt: {"residual": body, "adapt": adapt}, nodes, st.sampled_from(["project", "skip"])
    )
    repeat = st.fixed_dictionaries(
        {"count": st.sampled_from([0, 1, 2, {"int": [0, 2]}, {"choice": [1, 3]}]), "body": nodes},
        optional={
            "decisions": st.sampled_from(["tied", "free"]),
            "weights": st.sampled_from(["separate", "shared"]),
        },
    ).map(lambda found: {"repeat": found})
    cell = st.fixed_dictionaries(
        {
            "nodes": st.integers(1, 2),
            "edges": st.sampled_from(["dense", {"k": 2}, {"k": 1, "distinct": False}]),
            "ops": options,
        },
        optional={
            "join": st.sampled_from(["sum", "mul"]),
            "output": st.sampled_from(["last", "sum", {"choice": ["sum", "concat"]}]),
        },
    ).map(lambda found: {"cell": found, "adapt": "project"})
    return st.one_of(sequence, choice, parallel, residual, repeat.map(_named), cell)


def _named(node: Data) -> Data:
    """Repetitions are named, so that one inside another has decisions of another name."""
    return {**node, "name": f"r{abs(hash(repr(node))) % 10**6}"}


def space_data() -> st.SearchStrategy[Data]:
    """Spaces over a small image. Some of them make no space: two decisions of one name, nothing that fits."""
    bodies = st.recursive(st.one_of(_CONV, _OTHER), _inner, max_leaves=6)
    return bodies.map(
        lambda body: {"input": {"x": {"kind": "image", "shape": [2, 8, 8]}}, "body": {"sequence": [body]}}
    )


def _space(data: Data) -> Space | None:
    try:
        return Space.from_dict(data)
    except SpaceError:
        return None


def spaces() -> st.SearchStrategy[Space]:
    """The random spaces that are ones."""
    return space_data().map(_space).filter(lambda space: space is not None)  # type: ignore[return-value]
