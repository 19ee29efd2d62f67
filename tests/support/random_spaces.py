"""Whole random spaces, over all of the grammar: what holds for these holds for it.

``draw_space`` makes one by a ``Random``; ``spaces()`` is the same as a hypothesis strategy, which shrinks.
Some of what is made is no space (two decisions of one name, a network that fits in no way); those are drawn
again.
"""

from __future__ import annotations

import os
from dataclasses import replace
from random import Random
from typing import Any

from archloom.space import Space, SpaceError
from hypothesis import settings
from hypothesis import strategies as st
from random_layers import Data, leading_to
from random_nodes import NodeMaker, Scope

_SHAPES: dict[str, list[Any]] = {"image": [2, 6, 6], "seq": [3, 5], "tokens": [5], "vector": [3]}
_LEAVES = 7

MORE = int(os.environ.get("ARCHLOOM_EXAMPLES", "1"))
"""How many times as many examples as usual the property tests try; ``script/properties`` sets it."""


def examples(number: int) -> settings:
    """Settings of a property test that usually tries so many examples."""
    return settings(max_examples=number * MORE, deadline=None)


def draw_space(rng: Random, leaves: int = _LEAVES) -> Data:
    """Data of a space, most of the time."""
    maker = NodeMaker(rng, leaves)
    kind = rng.choice(["image", "image", "seq", "seq", "tokens", "vector"])
    data: Data = {"input": {"x": {"kind": kind, "shape": list(_SHAPES[kind])}}}
    scope = Scope(kind, fixed=True)
    if rng.random() < 0.4:
        data["let"] = {"w": {"choice": [1, 2]}, "u": "=w + 1"}
        scope = replace(scope, variables=("w", "u"))
        if kind == "image" and rng.random() < 0.3:
            data["input"]["x"]["shape"][1:] = ["=4 + 2*w", 6]
    if rng.random() < 0.3 and kind != "tokens":
        data["input"]["y"] = {"kind": kind, "shape": list(_SHAPES[kind])}
        scope = replace(scope, tensors=("y",))
    if rng.random() < 0.4 and kind != "tokens":
        data["parts"] = {"part": maker.part(Scope(kind, variables=(*scope.variables, "c")))}
        scope = replace(scope, parts=("part",))
    data["body"] = {"sequence": _stem(maker, scope)}
    _outputs(data, rng)
    if rng.random() < 0.3:
        data["recipe"] = _recipe(rng)
    if rng.random() < 0.25:
        data["constraints"] = [
            rng.choice(["params < 100000", "not (params > 300 and flops > 30000)", "depth < 9"])
        ]
        if "let" in data:
            data["constraints"].append(rng.choice(["w == 1 or depth < 6", "u <= 3", "w == 2"]))
    return data


def _stem(maker: NodeMaker, scope: Scope) -> list[Data]:
    """The body's nodes: the kind of tensor may change between them, and what is sure to exist is named."""
    rng = maker.rng
    body: list[Data] = []
    named: list[str] = []
    for _ in range(rng.randint(1, 3)):
        following = leading_to(scope.kind, rng)
        if scope.kind == "tokens" or (following and rng.random() < 0.25):
            kind = rng.choice(sorted(following))
            body.append({"name": maker.name("k"), **following[kind]})
            scope = replace(scope, kind=kind, tensors=(), parts=())
            named = []
        else:
            node = maker.node(scope)
            if rng.random() < 0.5 and "when" not in node:
                node["as"] = maker.name("t")
                node.setdefault("name", maker.name("n"))
                named.append(node["as"])
                scope = replace(scope, tensors=(*scope.tensors, node["as"]))
            body.append(node)
    if len(named) > 1 and rng.random() < 0.5:
        body.append(maker.map(scope, "m", named[:2]))
    return body


def _outputs(data: Data, rng: Random) -> None:
    """Some spaces yield a named tensor too, or two heads of a map."""
    names = [node["as"] for node in data["body"]["sequence"] if "as" in node and "map" not in node]
    mapped = [node for node in data["body"]["sequence"] if "map" in node]
    if mapped:
        names += [f"{mapped[0]['as']}_{tensor}" for tensor in mapped[0]["map"]["over"]]
    if names and rng.random() < 0.5:
        data["output"] = rng.sample(["features", *names], rng.randint(1, 2))


def _recipe(rng: Random) -> Data:
    whole: Data = {
        "lr": {"log": [1e-4, 0.1]},
        "momentum": {"float": [0.5, 0.9]},
        "optimizer": {"choice": ["sgd", "adamw"]},
        "batch": {"int": [16, 48, 16]},
        "steps": "=960 // batch",
        "augment": {"subset": {"of": ["flip", "crop", "mix"], "min": 1, "max": 2}},
    }
    kept = [key for key in whole if key not in ("batch", "steps") and rng.random() < 0.5]
    return {key: whole[key] for key in [*kept, "batch", "steps"]}


def space_data() -> st.SearchStrategy[Data]:
    return st.randoms(use_true_random=False).map(draw_space)


def _space(data: Data) -> Space | None:
    try:
        space = Space.from_dict(data)
        if space.tree.constraints:
            space.sample(Random(0))
            space.sample(Random(0), "architectures")
    except SpaceError:
        return None
    return space


def spaces() -> st.SearchStrategy[Space]:
    """The random spaces that are ones."""
    return space_data().map(_space).filter(lambda space: space is not None)  # type: ignore[return-value]


def drawn_spaces(number: int, seed: int = 0) -> list[Space]:
    """So many of them, always the same."""
    rng = Random(seed)
    found: list[Space] = []
    while len(found) < number:
        space = _space(draw_space(rng))
        if space is not None:
            found.append(space)
    return found
