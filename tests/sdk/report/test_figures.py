from __future__ import annotations

import random
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from archloom.client import Network, NetworkNode
from archloom.report import Outcome, figures, render_page
from archloom.report.network import draw_network
from archloom.report.plots import Axis, Point, Series, plot, tick_text
from archloom.space import load_preset
from drawn import read
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


NODES = (
    NetworkNode(0, "input", (), (), "x", (1, 8, 8)),
    NetworkNode(1, "conv", (("k", "3"), ("stride", "1")), (0,), "body.<stem>", (16, 8, 8)),
    NetworkNode(2, "their_own", (("size", "2"),), (0, 1), "", (16, 8, 8)),
)


def test_a_network_with_unknown_operations_is_drawn_from_what_was_said_of_it() -> None:
    drawn, missing = draw_network(Network(NODES, (2,), "ab", 10, 20))
    assert missing == ""
    drawing = read(str(drawn))
    assert [box.words for box in drawing.boxes] == [
        "input x | 1×8×8",
        "conv 3×3 | 16×8×8",
        "their own size 2 | 16×8×8",
        "output · 16×8×8",
    ]
    assert "body.<stem>" in drawing.boxes[1].tip
    assert len(drawing.edges) == 4


def test_a_known_network_is_drawn_with_its_costs_and_folded() -> None:
    space = load_preset("nasbench201")
    network = Network.from_proto(space.graph(space.sample(random.Random(1)), 10).to_proto())
    assert network.graph is not None
    assert network.graph.hash == network.hash
    drawn, _ = draw_network(network)
    words = "\n".join(box.words for box in read(str(drawn)).all())
    assert "464 par" in words
    assert "× 5" in words


def test_without_an_engine_there_is_a_reason_in_place_of_the_drawing(
    outcome: Outcome, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "graphlay", None)
    drawn, missing = draw_network(Network(NODES, (2,), "ab", 10, 20))
    assert drawn is None
    assert "pip install" in missing
    assert "There is no picture: drawing needs a layout engine" in render_page(outcome)


def test_best_so_far_counts_every_ended_trial_and_never_falls(outcome: Outcome) -> None:
    points = outcome.best_so_far("search")
    assert [count for count, _ in points] == list(range(1, 13))
    values = [value for _, value in points]
    assert values == sorted(values)
    assert points[-1][1] == max(
        each.metrics["val_accuracy"] for each in outcome.trials if each.role == "search" and each.metrics
    )
    assert len(outcome.best_so_far("control")) == 4


def test_a_lower_fidelity_counts_as_a_trial_and_its_value_does_not(outcome: Outcome) -> None:
    assert "less than the full fidelity" not in render_page(outcome)
    first, *others = outcome.trials
    lower = replace(
        first,
        fidelity=replace(first.fidelity, epochs=1),
        metrics={"val_accuracy": 0.999, "parameters": 1_234_567.0},
    )
    mixed = replace(outcome, trials=[lower, *others])
    points = mixed.best_so_far("search")
    assert [count for count, _ in points] == list(range(2, 13))
    assert max(value for _, value in points) < 0.999
    page = render_page(mixed)
    assert "Of the trials, 1 had less than the full fidelity" in page
    assert "0.999" not in str(figures.front(mixed))
    assert "0.999" not in str(figures.best_so_far(mixed))


def test_figures_without_data_are_left_out(outcome: Outcome) -> None:
    empty = replace(outcome, trials=[], report=replace(outcome.report, finalists=()))
    assert figures.best_so_far(empty) is None
    assert figures.front(empty) is None
    assert figures.finalist_curves(empty) is None
