"""Which parts of a network count as repeated."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from archloom.drawing.folding import Group, fold, home, scopes
from archloom.drawing.picture import Layer, Picture, picture_of
from archloom.space import Space, SpaceError
from hypothesis import given, settings
from random_spaces import spaces

IMAGE = {"x": {"kind": "image", "shape": [4, 8, 8]}}


def picture_of_body(body: dict[str, Any]) -> Picture:
    space = Space.from_dict({"input": IMAGE, "body": body})
    return picture_of(space.graph(space.sample(Random(0))))


def folded(body: dict[str, Any]) -> tuple[int | Group, ...]:
    return fold(picture_of_body(body))


def groups(entries: tuple[int | Group, ...]) -> list[Group]:
    """All of them, outer ones first."""
    found = []
    for entry in entries:
        if isinstance(entry, Group):
            found += [entry, *groups(entry.entries)]
    return found


def conv(k: int = 3, **more: Any) -> dict[str, Any]:
    return {"layer": "conv", "k": k, "norm": "batch", "activation": "relu", **more}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a.b", ()),
        ("a[0].conv", ("a[0]",)),
        ("a[0].b[12].c", ("a[0]", "a[0].b[12]")),
        ("a[0][1].c", ("a[0]", "a[0][1]")),
        ("a[3].node[2].edge[0].conv", ("a[3]",)),
        ("a.adapt[1]", ()),
        ("zeroes[3x3]", ()),
    ],
)
def test_paths_tell_of_repetitions(path: str, found: tuple[str, ...]) -> None:
    assert scopes(path) == found


def test_the_places_of_a_cell_stand_together() -> None:
    assert scopes("a.cell.pre[1].conv", {"a.cell"}) == ("a.cell",)
    assert scopes("a.celling.conv", {"a.cell"}) == ()


def test_equal_repetitions_are_one_group() -> None:
    (group,) = groups(folded({"name": "s", "repeat": {"count": 5, "body": {"residual": conv()}}}))
    assert (group.path, group.count, group.length) == ("s[0–4]", 5, 4)


def test_what_differs_stands_apart() -> None:
    block = {"residual": conv() | {"k": "=3 if i < 3 else 5"}}
    body = {"name": "s", "repeat": {"count": 5, "body": block}}
    found = groups(folded(body))
    assert [(group.path, group.count) for group in found] == [("s[0–2]", 3), ("s[3–4]", 2)]


def test_repeats_inside_repeats() -> None:
    inner = {"name": "in", "repeat": {"count": 3, "body": {"residual": conv()}}}
    body = {
        "name": "out",
        "repeat": {"count": 4, "body": {"sequence": [inner, {"name": "pool", "layer": "max_pool", "k": 3}]}},
    }
    found = groups(folded(body))
    assert [(group.path, group.count) for group in found] == [("out[0–3]", 4), ("out[0].in[0–2]", 3)]


def test_a_sequence_written_out_folds_without_a_path() -> None:
    block = [{"residual": conv()}, {"layer": "max_pool", "k": 3}, conv(5)]
    (group,) = groups(folded({"sequence": block * 3}))
    assert (group.path, group.count, group.length) == ("", 3, 8)


def test_short_and_parallel_likeness_is_no_repeat() -> None:
    assert groups(folded({"sequence": [{"layer": "relu"}, {"layer": "relu"}]})) == []
    assert groups(folded({"parallel": [conv(), conv(), conv()]})) == []


def chain(reads: dict[int, tuple[int, ...]]) -> Picture:
    """An input, then four times (linear, sum, relu); ``reads``: which layers read others than they should."""
    layers = [Layer("input", (), (), "x", "vector", (4,))]
    for number in range(4):
        start = 1 + 3 * number
        sources: dict[int, tuple[int, ...]] = {
            start: (start - 1,),
            start + 1: (start, start - 1),
            start + 2: (start + 1,),
        }
        for place, operation in enumerate(("linear", "sum", "relu"), start):
            inputs = reads.get(place, sources[place])
            layers.append(Layer(operation, (), inputs, f"r[{number}].{operation}", "vector", (4,)))
    return Picture(tuple(layers), (("x", 0),), (("y", 12),), 0, 0)


@pytest.mark.parametrize(
    ("reads", "found"),
    [
        ({}, [("r[0–3]", 4)]),
        ({5: (4, 0)}, [("r[0]", 1), ("r[1]", 1), ("r[2–3]", 2)]),  # the second one's sum reads the input
        ({11: (10, 3)}, [("r[0–2]", 3), ("r[3]", 1)]),  # the last one's, the first one's output
        ({number: (number - 1, 0) for number in (2, 5, 8, 11)}, [("r[0]", 1), ("r[1–3]", 3)]),
        ({12: (10,)}, [("r[0–2]", 3), ("r[3]", 1)]),
    ],
)
def test_repetitions_must_read_alike(reads: dict[int, tuple[int, ...]], found: list[tuple[str, int]]) -> None:
    assert [(group.path, group.count) for group in groups(fold(chain(reads)))] == found


def test_cells_that_read_two_before_are_one_group() -> None:
    cell = {
        "cell": {
            "inputs": 2,
            "nodes": 2,
            "edges": {"k": 2, "distinct": True},
            "ops": {"c": conv()},
            "output": "sum",
        }
    }
    body = {"carry": 2, "sequence": [conv(), {"name": "cells", "repeat": {"count": 6, "body": cell}}]}
    outer = [group for group in groups(folded(body)) if group.count > 1]
    assert len(outer) == 1
    assert outer[0].count >= 4
    assert sorted(back for _, back in outer[0].earlier) in ([1], [1, 2])


def test_wider_ones_are_like_the_first() -> None:
    def stage(name: str, width: int) -> dict[str, Any]:
        block = {"residual": {"sequence": [conv(out=width), conv(out=width)]}}
        return {"name": name, "repeat": {"count": 3, "body": block}}

    body = {
        "sequence": [
            stage("a", 4),
            conv(1, out=8),
            stage("b", 8),
            conv(1, out=16, name="last"),
            stage("c", 16),
        ]
    }
    found = groups(folded(body))
    assert [(group.path, group.like, group.count) for group in found] == [
        ("a[0–2]", "", 3),
        ("b[0–2]", "a[0–2]", 3),
        ("c[0–2]", "a[0–2]", 3),
    ]


@settings(max_examples=60, deadline=None)
@given(spaces())
def test_folded_again_every_layer_is_there_once(space: Space) -> None:
    """Repetitions put in again for each group, layers and edges are those of the network."""
    try:
        picture = picture_of(space.graph(space.sample(Random(0))))
    except SpaceError:
        return
    layers = picture.layers

    def unfolded(entries: tuple[int | Group, ...]) -> Iterator[tuple[int, int]]:
        """(the layer that it is drawn as, its place)."""
        for entry in entries:
            if isinstance(entry, int):
                yield entry, entry
                continue
            first = list(unfolded(entry.entries))
            assert [place for _, place in first] == list(range(entry.start, entry.start + entry.length))
            for number in range(entry.count):
                yield from ((drawn, place + number * entry.length) for drawn, place in first)

    pairs = list(unfolded(fold(picture)))
    assert [place for _, place in pairs] == list(range(len(layers)))
    for drawn, place in pairs:
        assert layers[drawn].look == layers[place].look
    for group in groups(fold(picture)):
        for place in range(group.start + group.length, group.end):
            first = home(group, place)
            shift = place - first
            for source, expected in zip(layers[place].inputs, layers[first].inputs, strict=True):
                if expected >= group.start:
                    assert source == expected + shift
