from __future__ import annotations

import itertools
import random
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from archloom.client import Network, NetworkNode
from archloom.report import Outcome, figures
from archloom.report.layering import place
from archloom.report.network import draw_network
from archloom.report.plots import Axis, Point, Series, plot, tick_text
from hypothesis import given
from hypothesis import strategies as st

numbers = st.floats(-1e9, 1e9).filter(lambda each: each == 0 or abs(each) > 1e-6)


@given(st.lists(numbers, min_size=1, max_size=20), st.booleans(), st.booleans())
def test_an_axis_holds_its_values_and_few_ticks(values: list[float], may_be_log: bool, whole: bool) -> None:
    axis = Axis.over("x", values, may_be_log, whole)
    assert all(-1e-6 <= axis.share(value) <= 1 + 1e-6 for value in values)
    assert 2 <= len(axis.ticks) <= 14 or axis.log
    assert all(-1e-6 <= axis.share(tick) <= 1 + 1e-6 for tick in axis.ticks)
    assert list(axis.ticks) == sorted(axis.ticks)
    if whole and not axis.log and max(values) < 1e6:
        steps = [b - a for a, b in zip(axis.ticks, axis.ticks[1:], strict=False)]
        assert all(step >= 1 and abs(step - round(step)) < 1e-6 for step in steps)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.925, "0.925"), (20_000, "20k"), (1_500_000, "1.5M"), (5000, "5000"), (1e-17, "0"), (2e9, "2G")],
)
def test_ticks_are_short(value: float, text: str) -> None:
    assert tick_text(value, Axis("x", 0, 1)) == text


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_text_makes_well_formed_xml(title: str, label: str) -> None:
    axis = Axis.over(label, [1, 2])
    drawn = plot(title, label, axis, axis, [Series(title, [Point(1, 1, label), Point(2, 2)], "strategy")])
    ElementTree.fromstring(drawn)


def random_graph(seed: int, size: int) -> dict[int, list[int]]:
    rng = random.Random(seed)
    return {
        node: sorted(rng.sample(range(node), k=min(node, rng.randint(1, 3)))) if node else []
        for node in range(size)
    }


@given(st.integers(0, 10_000), st.integers(1, 40))
def test_boxes_never_overlap_and_edges_lead_down(seed: int, size: int) -> None:
    graph = random_graph(seed, size)
    placed = place(graph)
    assert placed.centres.keys() == graph.keys()
    spots = [(x, 1.0, y) for x, y in placed.centres.values()]
    spots += [(x, 0.35, y) for bends in placed.bends.values() for x, y in bends]
    for number, (x, width, y) in enumerate(spots):
        assert width / 2 - 1e-6 <= x <= placed.width - width / 2 + 1e-6
        for other_x, other_width, other_y in spots[:number]:
            assert y != other_y or abs(x - other_x) >= (width + other_width) / 2 - 1e-6
    for target, sources in graph.items():
        for source in sources:
            heights = [placed.centres[source][1]]
            heights += [y for _, y in placed.bends[source, target]]
            heights.append(placed.centres[target][1])
            assert [b - a for a, b in itertools.pairwise(heights)] == [1.0] * (len(heights) - 1)


def test_a_chain_is_drawn_straight() -> None:
    placed = place({0: [], 1: [0], 2: [1], 3: [2]})
    assert {x for x, _ in placed.centres.values()} == {0.5}
    assert placed.layers == 4


def test_the_drawing_says_what_each_layer_is() -> None:
    nodes = (
        NetworkNode(0, "input", (), (), "x", (1, 8, 8)),
        NetworkNode(1, "conv", (("k", "3"), ("stride", "1")), (0,), "body.<stem>", (16, 8, 8)),
        NetworkNode(2, "sum", (), (0, 1), "", (16, 8, 8)),
    )
    drawn = draw_network(Network(nodes, (2,), "ab", 10, 20))
    root = ElementTree.fromstring(drawn)
    groups = [each for each in root.iter("g") if each.get("class", "").startswith("node")]
    assert [each.get("class") for each in groups] == ["node input", "node weights", "node merge output"]
    texts = ["".join(each.itertext()) for each in groups]
    assert "conv  16×8×8" in texts[1]
    assert "k=3" in texts[1]
    assert "body.<stem>" in texts[1]
    assert len([each for each in root.iter("path") if each.get("class") == "edge"]) == 3


def test_best_so_far_counts_every_ended_trial_and_never_falls(outcome: Outcome) -> None:
    points = outcome.best_so_far("search")
    assert [count for count, _ in points] == list(range(1, 13))
    values = [value for _, value in points]
    assert values == sorted(values)
    assert points[-1][1] == max(
        each.metrics["val_accuracy"] for each in outcome.trials if each.role == "search" and each.metrics
    )
    assert len(outcome.best_so_far("control")) == 4


def test_figures_without_data_are_left_out(outcome: Outcome) -> None:
    empty = replace(outcome, trials=[], report=replace(outcome.report, finalists=()))
    assert figures.best_so_far(empty) is None
    assert figures.front(empty) is None
    assert figures.finalist_curves(empty) is None
