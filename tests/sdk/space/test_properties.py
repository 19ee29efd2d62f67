"""What holds in every space, tried on random ones."""

from __future__ import annotations

from itertools import islice
from random import Random
from typing import Any

import pytest
from anew import faults_anew
from archloom.space import Architecture, Graph, Space
from hypothesis import given
from hypothesis import strategies as st
from random_spaces import examples, spaces

seeds = st.integers(0, 2**32)


@given(spaces())
@examples(60)
def test_a_space_comes_back_from_every_form(space: Space) -> None:
    assert Space.from_dict(space.to_dict()) == space
    assert Space.from_dict(space.to_dict()).to_dict() == space.to_dict()
    assert Space.from_yaml(space.to_yaml()) == space
    assert Space.from_proto(space.to_proto()) == space
    assert Space.from_proto(space.to_proto()).to_proto() == space.to_proto()
    assert Space.from_yaml(space.to_yaml()).digest == space.digest


@given(spaces(), seeds)
@examples(60)
def test_samples_are_valid_and_come_back_from_every_form(space: Space, seed: int) -> None:
    for uniform in ("decisions", "architectures"):
        architecture = space.sample(Random(seed), uniform)
        assert faults_anew(space, architecture) == []
        assert architecture == space.sample(Random(seed), uniform)
        assert Architecture.from_dict(architecture.to_dict()) == architecture
        assert Architecture.from_proto(architecture.to_proto()) == architecture
        assert set(architecture) <= {info.path for info in space.decisions()}


@given(spaces(), seeds, st.sampled_from([None, 0.1, 1.0]))
@examples(60)
def test_mutations_and_neighbours_are_valid_and_differ(space: Space, seed: int, rate: float | None) -> None:
    rng = Random(seed)
    parent = space.sample(rng)
    if next(space.neighbors(parent), None) is None:
        return  # a space of one architecture
    child = space.mutate(parent, rng, rate)
    assert child != parent
    assert faults_anew(space, child) == []
    for neighbor in islice(space.neighbors(parent), 20):
        assert neighbor != parent
        assert faults_anew(space, neighbor) == []


@given(spaces(), seeds)
@examples(60)
def test_a_child_is_valid_and_takes_what_its_parents_agree_on(space: Space, seed: int) -> None:
    rng = Random(seed)
    first, second = space.sample(rng), space.sample(rng)
    child = space.cross(first, second, rng)
    assert faults_anew(space, child) == []
    for path, value in child.decisions.items():
        if first.decisions.get(path) == second.decisions.get(path) is not None:
            assert value == first[path]
    assert space.cross(first, first, rng) == first


@given(spaces())
@examples(60)
def test_the_size_is_the_number_of_distinct_architectures(space: Space) -> None:
    if space.size() > 3_000:
        return
    found = [space.at(index) for index in range(space.size())]
    valid = {architecture for architecture in found if architecture is not None}
    assert len(valid) == sum(architecture is not None for architecture in found)
    every = set()
    for index in range(space.size()):
        decisions: dict[str, Any] = {}
        space.choices.at(index, None, decisions)
        every.add(Architecture(decisions))
    assert len(every) == space.size()
    assert list(space.enumerate()) == [architecture for architecture in found if architecture is not None]
    assert all(faults_anew(space, architecture) == [] for architecture in islice(valid, 20))
    assert all(space.holds(architecture) is (architecture in valid) for architecture in islice(every, 200))


@given(spaces(), seeds)
@examples(40)
def test_encodings_have_one_length_and_tell_architectures_apart(space: Space, seed: int) -> None:
    rng = Random(seed)
    first, second = space.sample(rng), space.sample(rng)
    for kind in ("vector", "path", "graph"):
        rows = [space.encode(architecture, kind) for architecture in (first, second)]
        assert len(rows[0]) == len(rows[1])
        assert all(isinstance(value, float) for value in rows[0])
    vectors = [space.encode(architecture) for architecture in (first, second)]
    assert len(space.vector_names) == len(vectors[0]) == len(set(space.vector_names))
    assert (first == second) == (vectors[0] == vectors[1])


@given(spaces(), seeds)
@examples(40)
def test_a_graph_comes_back_from_its_message(space: Space, seed: int) -> None:
    graph = space.graph(space.sample(Random(seed)), classes=None if len(space.tree.outputs) > 1 else 3)
    back = Graph.from_proto(graph.to_proto())
    assert (back.hash, back.parameters, back.flops) == (graph.hash, graph.parameters, graph.flops)
    assert [node.path for node in back.nodes] == [node.path for node in graph.nodes]
    assert len({node.path for node in graph.nodes}) == len(graph.nodes)


@given(spaces(), seeds)
@examples(40)
def test_a_decision_exists_exactly_where_its_conditions_hold(space: Space, seed: int) -> None:
    architecture = space.sample(Random(seed))
    for info in space.decisions():
        holds = info.always or any(
            all(architecture.decisions.get(path) in values for path, values in conditions)
            for conditions in info.alternatives
        )
        assert holds == (info.path in architecture.decisions), info.path


@given(spaces(), seeds)
@examples(30)
def test_a_fault_of_shapes_is_laid_at_a_decision_that_mends_it(space: Space, seed: int) -> None:
    rng = Random(seed)
    for _ in range(5):
        decisions: dict[str, Any] = {}
        space.choices.at(rng.randrange(space.size()), rng, decisions)
        if space._fitting.fault(decisions) is None:
            continue
        (violation,) = space.check(Architecture(decisions))
        remedy = space._fitting.remedy(decisions)
        if remedy is None:
            continue
        path, value = remedy
        assert violation.field == path
        assert f"{decisions[path]!r} does not fit, {value!r} would" in violation.message
        mended: dict[str, Any] = {}
        space.choices.complete({**decisions, path: value}, None, mended)
        assert space._fitting.fault(mended) is None


@given(spaces(), seeds)
@examples(40)
def test_draws_depend_on_the_generator_alone(space: Space, seed: int) -> None:
    again = Space.from_dict(space.to_dict())
    rng = Random(seed)
    first = [space.sample(rng) for _ in range(3)]
    space.mutate(first[0], Random(1)) if any(True for _ in space.neighbors(first[0])) else None
    rng = Random(seed)
    assert [again.sample(rng) for _ in range(3)] == first
    assert [again.graph(each).hash for each in first] == [space.graph(each).hash for each in first]


def test_a_sample_of_another_space_is_refused() -> None:
    one = {
        "input": {"x": {"kind": "vector", "shape": [4]}},
        "body": {"layer": "linear", "out": {"choice": [1, 2]}},
    }
    space = Space.from_dict(one)
    with pytest.raises(Exception, match="is no decision of this space"):
        space.mutate(Architecture({"other": 1}), Random(0))
