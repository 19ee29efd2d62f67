"""What an inner strategy is told, and curves that end trials early."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from archloom.space import Space
from archloom.strategy import (
    Fidelity,
    ObservationKind,
)
from archloom.testing.probe import TINY_SPACE
from archloom_strategies.multi_fidelity.board import Board
from archloom_strategies.multi_fidelity.curves import chance_to_reach, extrapolate
from archloom_strategies.multi_fidelity.estimates import fit
from archloom_strategies.multi_fidelity.ladder import ladder_of
from archloom_strategies.multi_fidelity.strategy import _Step
from fidelity_search import NINE, Search, at_one_epoch, drawn, spec_of, worth


def test_a_line_carries_results_from_rung_to_rung() -> None:
    low = {number: number / 10 for number in range(10)}
    few = fit(low, {9: 1.4})
    assert (few.slope, few(0.9)) == (1.0, pytest.approx(1.4))
    many = fit(low, {number: 0.5 + number / 5 for number in range(10)})
    assert 1.5 < many.slope < 2.0
    none = fit({1: 0.1, 2: 0.3}, {3: 0.7})
    assert none(0.2) == pytest.approx(0.7)


def test_the_inner_strategy_hears_of_one_fidelity_on_one_scale() -> None:
    search = at_one_epoch([0.1, 0.2, 0.3])
    search.end(search.begin(search.trials[2][0], Fidelity(epochs=3), 3), accuracy=0.5)
    step = _Step(search.request(1))
    heard = [step._told(event) for event in search.log]
    assert all(event is not None and event.fidelity == NINE for event in heard)
    ends = [event for event in heard if event is not None and event.kind is ObservationKind.FINISHED]
    # The promoted one's own result stands; the others are moved by what it gained.
    assert [event.metrics["accuracy"] for event in ends] == pytest.approx([0.3, 0.4, 0.5, 0.5])
    last = [event for event in heard if event is not None][-2]
    assert (last.kind, last.step) == (ObservationKind.ENQUEUED, 0)


def test_no_network_is_asked_for_twice_however_it_is_written() -> None:
    space = Space.from_yaml(TINY_SPACE)
    search = Search(spec_of(space=space))
    search.run(16, 3, worth)
    fresh = [architecture for architecture, _, _ in search.trials if architecture in search.at(1)]
    networks = {space.graph(each).hash for each in fresh}
    assert len(networks) == len({each.key for each in fresh})


def curve(limit: float, until: int, rate: float = 1.0) -> dict[float, float]:
    return {float(epoch): limit - 0.5 * epoch**-rate for epoch in range(1, until + 1)}


def racing(stopping: str, late: Mapping[float, float]) -> Search:
    """Six whole trainings of forty epochs, and one that has come to ten."""
    whole = Fidelity(epochs=40)
    search = Search(spec_of(whole), stopping=stopping)
    *others, last = drawn(7)
    for place, architecture in enumerate(others):
        trial = search.begin(architecture, whole)
        search.measure(trial, curve(0.8 + place / 100, 40))
        search.end(trial, accuracy=0.79 + place / 100)
    search.measure(search.begin(last, whole), late)
    return search


@pytest.mark.parametrize(
    ("stopping", "late", "stops"),
    [
        ("none", curve(0.3, 15), False),
        ("median", curve(0.3, 15), True),
        ("median", curve(0.9, 15), False),
        # Above the median of means so far, but it does not come near the best any more.
        ("median", curve(0.76, 15, 3.0), False),
        ("curve", curve(0.76, 15, 3.0), True),
        # Low so far, and still rising: it may win.
        ("curve", {float(epoch): 0.4 + 0.022 * epoch for epoch in range(1, 16)}, False),
        # Too early to say.
        ("curve", curve(0.3, 3), False),
    ],
)
def test_a_hopeless_trial_is_ended(stopping: str, late: Mapping[float, float], stops: bool) -> None:
    assert list(racing(stopping, late).ask(0).stop) == ([7] if stops else [])


def test_a_trial_that_was_ended_counts_with_its_last_point_and_is_not_promoted() -> None:
    search = at_one_epoch([0.1, 0.2])
    trial = search.begin(drawn(3)[2], Fidelity(epochs=9))
    search.measure(trial, {1.0: 0.3, 2.0: 0.4, 4.0: 0.5})
    search.end(trial, ObservationKind.CANCELLED)
    board = Board(search.spec, ladder_of(search.spec, search.settings), search.log)
    stopped = board.configurations[-1]
    assert stopped.stopped
    assert stopped.results == {1: {"accuracy": 0.5}}
    assert not [each for each in search.ask(2).proposals if each.resume_from == trial]
    told = _Step(search.request(1))._told(search.log[-1])
    assert told is not None
    assert (told.kind, told.metrics["accuracy"]) == (ObservationKind.FINISHED, 0.5)


@pytest.mark.parametrize("rate", [0.5, 1.0, 2.0])
def test_an_extrapolation_covers_the_curve_it_comes_from(rate: float) -> None:
    points = list(curve(0.9, 20, rate).items())
    end = curve(0.9, 100, rate)[100.0]
    forecasts = extrapolate(points, 100.0)
    assert forecasts is not None
    assert sum(weight * each.mean for each, weight in forecasts) == pytest.approx(end, abs=0.01)
    assert chance_to_reach(points, 100.0, end - 0.02) > 0.9
    assert chance_to_reach(points, 100.0, end + 0.05) < 0.05
    assert chance_to_reach(points[:3], 100.0, end + 0.05) == 1.0
