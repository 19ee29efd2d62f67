"""The search-space language as its reference tells it: constraints; what is drawn, changed and written down.

Nothing here follows the implementation: sizes, paths, shapes and counts are written out beside each space.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from random import Random

import pytest
from anew import faults_anew
from archloom.space import Architecture, Graph, Space, SpaceError
from by_hand import VECTOR

# Constraints


@pytest.mark.parametrize(
    ("constraints", "left"),
    [
        # linear w > 5w parameters, 4w multiply-adds; deep adds w > w: w * (w + 1) and w * w
        (["params <= 20"], [(2, False), (2, True), (4, False)]),
        (["params <= 20", "w > 2"], [(4, False)]),
        (["depth == 2"], [(2, True), (4, True), (8, True)]),
        (["deep or w == 8"], [(2, True), (4, True), (8, False), (8, True)]),
        (["not (deep and w >= 4) and flops > 8"], [(2, True), (4, False), (8, False)]),
        (["not deep == (w < 8)"], [(2, False), (4, False), (8, True)]),
        (["params < 15 or params > 100", "min(depth, w) <= 2"], [(2, False), (8, True)]),
        (["flops % 3 == 0 if deep else w != 4"], [(2, True), (2, False), (8, False), (8, True)]),
    ],
)
def test_constraints_leave(constraints: list[str], left: list[tuple[int, bool]]) -> None:
    text = (
        VECTOR
        + """
let: {w: {choice: [2, 4, 8]}, deep: {bool: [false, true]}}
body: {sequence: [{layer: linear, out: =w}, {name: more, when: deep, layer: linear, out: =w}]}
"""
    )
    space = Space.from_dict(Space.from_yaml(text).to_dict() | {"constraints": constraints})
    assert space.size() == 6
    kept = {(one["w"], one["deep"]) for one in space.enumerate()}
    assert kept == set(left)
    estimate = space.estimate_size(Random(0))
    assert (estimate.size, estimate.exact) == (len(left), True)
    assert estimate.share == pytest.approx(len(left) / 6)
    rng = Random(1)
    drawn = [space.sample(rng) for _ in range(60)]
    assert {(one["w"], one["deep"]) for one in drawn} == kept
    drawn = [space.sample(rng, "architectures") for _ in range(60)]
    assert {(one["w"], one["deep"]) for one in drawn} == kept
    for at in range(6):
        one = space.at(at)
        assert one is None or (one["w"], one["deep"]) in kept


def test_constraints_that_leave_nothing_say_so() -> None:
    text = (
        VECTOR
        + "let: {w: {choice: [2, 4]}}\nbody: {layer: linear, out: =w}\nconstraints: [params > 10, w < 4]"
    )
    space = Space.from_yaml(text)
    assert list(space.enumerate()) == []
    with pytest.raises(SpaceError, match="constraints"):
        space.sample(Random(0))


def test_a_constraint_that_leaves_one_in_a_million_is_sampled() -> None:
    # 10 widths of 10 values each; all but the least break it.
    text = (
        VECTOR
        + """
body: {name: r, repeat: {count: 6, decisions: free, body: {layer: linear, out: {int: [1, 10]}, bias: false}}}
constraints: [params <= 9]
"""
    )
    # 4 + 5 * 1 = 9 is the least
    space = Space.from_yaml(text)
    one = space.sample(Random(0))
    assert set(one.to_dict().values()) == {1}


# Drawing, changing, writing down


TANGLED = """
let: {w: {choice: [4, 6]}, deep: {bool: [false, true]}}
input: {a: {kind: seq, shape: [4, 6]}, b: {kind: seq, shape: [4, 5]}}
parts:
  mix:
    choice:
      att: {layer: attention, heads: {divisors: w, among: [2, 3, 4]}}
      scan:
        scan:
          state: {h: =w}
          body: {sequence: [{layer: concat, from: [x, h]}, {name: next, layer: linear, out: =w,
              activation: {choice: [tanh, relu]}}]}
      none: {layer: identity}
body:
  sequence:
    - {name: put, as: t, map: {over: [a, b], weights: shared, body: {layer: linear, out: =w}}}
    - name: blocks
      from: t_a
      repeat:
        count: {int: [0, 2]}
        decisions: free
        links: {subset: earlier, most: 1, merge: {choice: [sum, mul]}}
        body:
          sequence:
            - {name: mix, use: {part: mix, decisions: free}}
            - {name: same, when: deep and i > 0, residual: {use: mix}}
    - {as: q, layer: identity}
    - {name: read, layer: cross_attention, from: [q, t_b], heads: 1}
recipe: {lr: {log: [0.001, 0.1]}, tricks: {subset: {of: [mixup, ema], max: 1}}}
constraints: [params <= 700 or not deep]
"""


def settings(width: int) -> int:
    return {4: 2, 6: 2}[width] + 2 + 1  # heads 2, 4 of 4, heads 2, 3 of 6; two activations; identity


def test_the_size_of_a_tangled_space() -> None:
    total = 0
    for width in (4, 6):
        one = settings(width)
        for deep in (False, True):
            # no block; one; two, with a link or not, a merge, and the tied mix where deep
            total += 1 + one + one**2 * 2 * 2 * (one if deep else 1)
    assert Space.from_yaml(TANGLED).size() == total * 3


def test_what_is_drawn_and_changed_is_valid() -> None:
    space = Space.from_yaml(TANGLED)
    rng = Random(3)
    population = [space.sample(rng) for _ in range(12)]
    for one, other in pairwise(population):
        child = space.cross(one, other, rng)
        mutant = space.mutate(one, rng)
        many = space.mutate(one, rng, rate=0.5)
        assert one not in (mutant, many)
        for made in (one, child, mutant, many):
            assert faults_anew(space, made) == []
        for path in child:
            if path in one and path in other:
                assert child[path] in (one[path], other[path])


def test_neighbors_are_valid_and_differ_in_one_decision() -> None:
    space = Space.from_yaml(TANGLED)
    one = space.sample(Random(5))
    seen = set()
    for neighbor in space.neighbors(one):
        assert faults_anew(space, neighbor) == []
        assert neighbor not in seen
        seen.add(neighbor)
        changed = [path for path in neighbor if path in one and neighbor[path] != one[path]]
        assert changed
    assert len(seen) >= 4


@pytest.mark.parametrize("decisions", [0, 1, 2])
def test_neighbors_of_a_small_space_are_just_these(decisions: int) -> None:
    text = (
        VECTOR
        + "body: {name: r, repeat: {count: {int: [0, 2]}, decisions: free, body: {layer: {choice: [relu, "
        "tanh, elu]}}}}"
    )
    space = Space.from_yaml(text)
    one: dict[str, object] = {"r.count": decisions} | {f"r[{i}].layer": "tanh" for i in range(decisions)}
    expected: list[dict[str, object]] = []
    for i in range(decisions):
        expected += [one | {f"r[{i}].layer": other} for other in ("relu", "elu")]
    for count in {0, 1, 2} - {decisions}:
        expected.append(
            {"r.count": count} | {f"r[{i}].layer": one.get(f"r[{i}].layer", "relu") for i in range(count)}
        )
    found = [neighbor.to_dict() for neighbor in space.neighbors(Architecture.from_dict(one))]
    assert sorted(map(str, map(sorted, map(dict.items, found)))) == sorted(
        map(str, map(sorted, map(dict.items, expected)))
    )


SMALL = (
    VECTOR
    + """
parts: {p: {layer: {choice: [relu, tanh, elu]}}}
body:
  sequence:
    - {name: one, choice: {a: {use: p}, b: {layer: identity}}}
    - {name: two, when: one_more, choice: {a: {use: p}, b: {layer: identity}}}
let: {one_more: {bool: [false, true]}}
"""
)


def chi_square(counts: Counter[Architecture], shares: dict[Architecture, float], draws: int) -> float:
    assert set(counts) <= set(shares)
    return sum((counts[one] - share * draws) ** 2 / (share * draws) for one, share in shares.items())


def test_both_kinds_of_uniform() -> None:
    # one_more false: a (3 of p) or b; true: 3 pairs with an a (3 of p each), one without
    space = Space.from_yaml(SMALL)
    everything = list(space.enumerate())
    assert len(everything) == 4 + 10
    shares: dict[Architecture, float] = {}
    for one in everything:
        shares[one] = (
            (1 / 2) * (1 / 2) * (1 / 2 if one["one_more"] else 1) * (1 / 3 if "p.layer" in one else 1)
        )
    assert sum(shares.values()) == pytest.approx(1)
    draws, bound = 4000, 34.5  # 13 degrees of freedom: 0.1% lies above
    rng = Random(7)
    assert chi_square(Counter(space.sample(rng) for _ in range(draws)), shares, draws) < bound
    equal = dict.fromkeys(everything, 1 / 14)
    assert chi_square(Counter(space.sample(rng, "architectures") for _ in range(draws)), equal, draws) < bound


def test_numbers_of_architectures() -> None:
    space = Space.from_yaml(SMALL)
    everything = list(space.enumerate())
    assert [space.at(index) for index in range(14)] == everything
    assert list(space.enumerate(start=9)) == everything[9:]


@pytest.mark.parametrize("text", [TANGLED, SMALL], ids=["tangled", "small"])
def test_a_space_and_what_is_in_it_are_written_down_and_read_again(text: str) -> None:
    space = Space.from_yaml(text)
    for again in (
        Space.from_yaml(space.to_yaml()),
        Space.from_dict(space.to_dict()),
        Space.from_proto(type(space.to_proto()).FromString(space.to_proto().SerializeToString())),
    ):
        assert again == space
        assert again.digest == space.digest
        assert again.to_dict() == space.to_dict()
        assert again.size() == space.size()
    rng = Random(11)
    for _ in range(10):
        one = space.sample(rng)
        assert Architecture.from_dict(one.to_dict()) == one
        assert Architecture.from_proto(one.to_proto()) == one
        assert Architecture.from_dict(dict(reversed(one.to_dict().items()))).key == one.key
        graph = space.graph(one)
        again_graph = Graph.from_proto(graph.to_proto())
        assert again_graph.hash == graph.hash
        assert (again_graph.parameters, again_graph.flops) == (graph.parameters, graph.flops)


def test_encodings_of_a_space_tell_its_architectures_apart() -> None:
    space = Space.from_yaml(SMALL)
    rows = [space.encode(one) for one in space.enumerate()]
    assert {len(row) for row in rows} == {len(space.vector_names)}
    assert len(set(rows)) == 14


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"w": 5}, "w"),
        ({"blocks.count": 3}, "blocks.count"),
        ({"blocks.count": True}, "blocks.count"),
        ({"recipe.lr": 0.5}, "recipe.lr"),
        ({"recipe.tricks": ["mixup", "ema"]}, "recipe.tricks"),
        ({"recipe.tricks": "mixup"}, "recipe.tricks"),
        ({"blocks[1].links": [2]}, "blocks[1].links"),
        ({"blocks[0].mix": "attention"}, "blocks[0].mix"),
        ({"blocks[0].mix.att.heads": 3}, "blocks[0].mix.att.heads"),
        ({"mix.att.heads": 2}, "mix.att.heads"),
        ({"bocks.count": 1}, "bocks.count"),
    ],
)
def test_what_is_wrong_with_an_architecture_is_laid_at_its_path(change: dict[str, object], path: str) -> None:
    space = Space.from_yaml(TANGLED)
    good: dict[str, object] = {
        "w": 4,
        "deep": False,
        "blocks.count": 2,
        "blocks.merge": "sum",
        "blocks[0].mix": "att",
        "blocks[0].mix.att.heads": 4,
        "blocks[1].mix": "none",
        "blocks[1].links": [0],
        "recipe.lr": 0.01,
        "recipe.tricks": ["ema"],
    }
    assert space.check(Architecture.from_dict(good)) == []
    assert path in [one.field for one in space.check(Architecture.from_dict(good | change))]
