"""Boxes and edges as they are placed, whoever lays them out."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import pytest
from archloom.drawing.engines import ENGINES, DrawingUnavailable, Engine, by_dot, by_graphlay, engine_named
from archloom.drawing.layout import Arranged, Box, Edge, arrange
from drawn import put_dot_on_path
from hypothesis import given, settings
from hypothesis import strategies as st


def random_graph(seed: int, size: int) -> tuple[list[Box], list[Edge]]:
    rng = random.Random(seed)
    boxes = [Box(rng.uniform(20, 200), rng.uniform(15, 90)) for _ in range(size)]
    edges = [
        Edge(source, target)
        for target in range(1, size)
        for source in sorted(rng.sample(range(target), k=min(target, rng.randint(1, 3))))
    ]
    return boxes, edges


def check(boxes: list[Box], edges: list[Edge], placed: Arranged) -> None:
    """No box on another; every edge from its source's foot to its target's head, clear of boxes."""
    frames = [
        (x, y, x + box.width, y + box.height) for box, (x, y) in zip(boxes, placed.corners, strict=True)
    ]
    for number, (left, top, right, bottom) in enumerate(frames):
        assert left > -1e-6
        assert right < placed.width + 1e-6
        assert bottom < placed.height + 1e-6
        for other in frames[:number]:
            assert right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top
    for edge, way in zip(edges, placed.ways, strict=True):
        source, target = frames[edge.source], frames[edge.target]
        assert source[0] <= way[0][0] <= source[2]
        assert way[0][1] == pytest.approx(source[3])
        assert target[0] <= way[-1][0] <= target[2]
        assert way[-1][2] == pytest.approx(target[1])
        for x, top, bottom in way:
            assert top <= bottom + 1e-6
            for left, above, right, below in frames:
                inside = left < x < right and max(top, above) < min(bottom, below) - 1e-6
                assert not inside, (edge, x, top, bottom)
        for (_, _, above), (_, below, _) in pairwise(way):
            assert above < below, "an edge leads upwards"


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 40))
def test_boxes_never_overlap_and_edges_attach_and_lead_down(seed: int, size: int) -> None:
    boxes, edges = random_graph(seed, size)
    placed = arrange(boxes, edges, by_graphlay)
    check(boxes, edges, placed)
    assert arrange(boxes, edges, by_graphlay) == placed


def test_the_same_with_graphviz(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", put_dot_on_path(tmp_path))
    for seed, size in ((1, 12), (2, 35)):
        boxes, edges = random_graph(seed, size)
        placed = arrange(boxes, edges, by_dot)
        check(boxes, edges, placed)
        assert placed != arrange(boxes, edges, by_graphlay)


@pytest.mark.parametrize("engine", [by_graphlay])
def test_a_chain_is_drawn_straight(engine: Engine) -> None:
    boxes = [Box(50, 20), Box(120, 30), Box(80, 40)]
    placed = arrange(boxes, [Edge(0, 1), Edge(1, 2)], engine)
    assert {round(way[0][0] - way[-1][0], 3) for way in placed.ways} == {0.0}


def test_ports_are_met_where_they_are() -> None:
    boxes = [Box(50, 20), Box(200, 60), Box(50, 20)]
    placed = arrange(boxes, [Edge(0, 1, 0, -80.0), Edge(1, 2, 70.0)], by_graphlay)
    left = placed.corners[1][0]
    assert placed.ways[0][-1][0] == pytest.approx(left + 20)
    assert placed.ways[1][0][0] == pytest.approx(left + 170)


def test_dot_is_taken_where_it_is_on_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert engine_named() is by_graphlay
    (tmp_path / "dot").write_text("#!/bin/sh\necho 'it is broken' >&2\nexit 3\n")
    (tmp_path / "dot").chmod(0o755)
    assert engine_named() is by_dot
    assert engine_named("graphlay") is by_graphlay
    with pytest.raises(DrawingUnavailable, match="dot failed: it is broken"):
        arrange([Box(10, 10)], [], engine_named())


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DrawingUnavailable, match="dot cannot be run"):
        arrange([Box(10, 10)], [], ENGINES["dot"])
    monkeypatch.setitem(__import__("sys").modules, "graphlay", None)
    with pytest.raises(
        DrawingUnavailable, match=r"graphviz's dot on PATH, or pip install 'archloom\[drawing\]'"
    ):
        arrange([Box(10, 10)], [], engine_named())
    with pytest.raises(DrawingUnavailable, match="no layout engine 'neato': take dot or graphlay"):
        engine_named("neato")
