"""Rungs, promotions, what an inner strategy is told, and curves that end trials early."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from archloom.space import Architecture, Space
from archloom.strategy import (
    Comparison,
    Constraint,
    Fidelity,
    Goal,
    Measurement,
    Objective,
    Observation,
    ObservationKind,
    Proposal,
    ProposeRequest,
    SearchSpec,
)
from archloom.strategy.values import ProposeResult
from archloom.testing.probe import TINY_SPACE, TREE_SPACE
from archloom_strategies.multi_fidelity.board import Board
from archloom_strategies.multi_fidelity.curves import chance_to_reach, extrapolate
from archloom_strategies.multi_fidelity.estimates import fit
from archloom_strategies.multi_fidelity.ladder import faults, ladder_of
from archloom_strategies.multi_fidelity.ranking import ordered
from archloom_strategies.multi_fidelity.settings import MultiFidelitySettings
from archloom_strategies.multi_fidelity.strategy import MultiFidelity, MultiFidelityState, _Step
from pydantic import ValidationError

ACCURACY = Objective("accuracy")
SIZE = Objective("size", Goal.MINIMIZE)
SPACE = Space.from_yaml(TREE_SPACE)
NINE = Fidelity(epochs=9)


def spec_of(fidelity: Fidelity = NINE, space: Space = SPACE, trials: int = 0, **fields: Any) -> SearchSpec:
    return SearchSpec(space, **{"objectives": (ACCURACY,), **fields}, fidelity=fidelity, trials=trials)


def drawn(count: int, space: Space = SPACE) -> list[Architecture]:
    rng = random.Random(0)
    found: dict[str, Architecture] = {}
    while len(found) < count:
        architecture = space.sample(rng)
        found.setdefault(str(space.graph(architecture).hash) + str(space.recipe(architecture)), architecture)
    return list(found.values())


class Search:
    """The log of a search, and the strategy's answers upon it."""

    def __init__(self, spec: SearchSpec, **settings: Any) -> None:
        self.spec = spec
        self.settings = MultiFidelitySettings.model_validate(settings)
        self.log: list[Observation] = []
        self.trials: list[tuple[Architecture, Fidelity, int]] = []
        self.state: MultiFidelityState | None = None
        self.told = self.step = 0

    def tell(self, kind: ObservationKind, architecture: Architecture, **fields: Any) -> None:
        self.log.append(Observation(len(self.log) + 1, kind, architecture, **fields))

    def begin(self, architecture: Architecture, fidelity: Fidelity, source: int = 0, step: int = 1) -> int:
        self.trials.append((architecture, fidelity, source))
        kind = ObservationKind.ACCEPTED if step else ObservationKind.ENQUEUED
        self.tell(kind, architecture, trial=len(self.trials), step=step, fidelity=fidelity)
        return len(self.trials)

    def end(self, trial: int, kind: ObservationKind = ObservationKind.FINISHED, /, **metrics: float) -> None:
        architecture, fidelity, _ = self.trials[trial - 1]
        self.tell(kind, architecture, trial=trial, step=1, fidelity=fidelity, metrics=metrics)

    def measure(self, trial: int, curve: Mapping[float, float]) -> None:
        architecture, fidelity, _ = self.trials[trial - 1]
        points = tuple(Measurement(at, {"accuracy": value}) for at, value in curve.items())
        kind = ObservationKind.MEASURED
        self.tell(kind, architecture, trial=trial, step=1, fidelity=fidelity, measurements=points)

    def request(self, count: int) -> ProposeRequest[MultiFidelitySettings, MultiFidelityState]:
        before, news = tuple(self.log[: self.told]), tuple(self.log[self.told :])
        return ProposeRequest(
            self.spec,
            self.settings,
            self.step,
            self.step,
            self.state,
            news,
            count,
            random.Random(self.step),
            read_history=lambda: before,
        )

    def ask(self, count: int = 1) -> ProposeResult[MultiFidelityState]:
        self.step += 1
        answer = MultiFidelity().propose(self.request(count))
        self.told, self.state = len(self.log), answer.state
        return answer

    def accept(self, proposal: Proposal) -> int:
        fidelity = proposal.fidelity or self.spec.fidelity
        return self.begin(proposal.architecture, fidelity, proposal.resume_from, self.step)

    def run(self, trials: int, parallel: int, score: Callable[[Architecture, Fidelity], float]) -> str:
        """Until so many trials have ended; why it ended, when that was before."""
        running: list[int] = []
        rng, ended = random.Random(1), 0
        while ended < trials:
            answer = self.ask(min(parallel - len(running), trials - ended - len(running)))
            running += [self.accept(proposal) for proposal in answer.proposals]
            if not running:
                return answer.exhausted
            trial = running.pop(rng.randrange(len(running)))
            architecture, fidelity, _ = self.trials[trial - 1]
            self.end(trial, accuracy=score(architecture, fidelity))
            ended += 1
        return ""

    def at(self, epochs: int) -> list[Architecture]:
        return [architecture for architecture, fidelity, _ in self.trials if fidelity.epochs == epochs]


def worth(architecture: Architecture, fidelity: Fidelity) -> float:
    return random.Random(architecture.key).random() + fidelity.epochs / 10


def at_one_epoch(values: Sequence[float], **settings: Any) -> Search:
    """A search whose first trials, of one epoch, ended with these accuracies."""
    search = Search(spec_of(), **settings)
    for architecture, value in zip(drawn(len(values)), values, strict=True):
        search.end(search.begin(architecture, Fidelity(epochs=1)), accuracy=value)
    return search


# ------------------------------------------------------------------ rungs


@pytest.mark.parametrize(
    ("fidelity", "settings", "levels"),
    [
        (NINE, {}, (1, 3, 9)),
        (Fidelity(epochs=200), {}, (7, 22, 67, 200)),
        (Fidelity(epochs=200), {"min_epochs": 50}, (67, 200)),
        (Fidelity(epochs=16), {"eta": 2, "min_epochs": 1}, (1, 2, 4, 8, 16)),
        (Fidelity(epochs=200), {"rungs": [12]}, (12, 200)),
        (Fidelity(data_fraction=1.0), {"eta": 2}, (0.125, 0.25, 0.5, 1.0)),
        (Fidelity(data_fraction=0.5), {"eta": 5, "min_data_fraction": 0.1}, (0.1, 0.5)),
    ],
)
def test_rungs_end_at_the_full_fidelity(
    fidelity: Fidelity, settings: dict[str, Any], levels: tuple[float, ...]
) -> None:
    read = MultiFidelitySettings.model_validate(settings)
    assert ladder_of(spec_of(fidelity), read).levels == pytest.approx(levels)
    assert not list(faults(spec_of(fidelity), read))


@pytest.mark.parametrize(
    ("fidelity", "settings", "field"),
    [
        (Fidelity(), {}, "fidelity.epochs"),
        (Fidelity(epochs=1), {}, "fidelity.epochs"),
        (NINE, {"min_epochs": 9}, "settings.min_epochs"),
        (NINE, {"rungs": [3, 9]}, "settings.rungs"),
        (NINE, {"rungs": [1.5]}, "settings.rungs"),
        (Fidelity(data_fraction=0.1), {"min_data_fraction": 0.2}, "settings.min_data_fraction"),
        (NINE, {"inner": {"name": "nobody"}}, "settings.inner.name"),
        (NINE, {"inner": {"name": "random", "settings": {"x": 1}}}, "settings.inner.settings.x"),
    ],
)
def test_what_has_no_rungs_is_refused_with_its_path(
    fidelity: Fidelity, settings: dict[str, Any], field: str
) -> None:
    read = MultiFidelitySettings.model_validate(settings)
    assert [each.field for each in MultiFidelity().check(spec_of(fidelity), read)] == [field]


def test_rungs_ascend() -> None:
    with pytest.raises(ValidationError, match="ascend"):
        MultiFidelitySettings.model_validate({"rungs": [3, 3]})


# ------------------------------------------------------------------ promotions


def test_asha_promotes_the_best_third_from_its_checkpoint() -> None:
    search = at_one_epoch([0.1, 0.5, 0.3, 0.2, 0.6, 0.4])
    answer = search.ask(4)
    promoted = [each for each in answer.proposals if each.parents]
    assert [each.resume_from for each in promoted] == [5, 2]
    assert all(each.fidelity == Fidelity(epochs=3) for each in promoted)
    # The rest of the answer is new, and what the inner strategy gave stands first.
    assert [each.fidelity for each in answer.proposals[:2]] == [Fidelity(epochs=1)] * 2


def test_the_last_rung_is_the_full_fidelity() -> None:
    search = at_one_epoch([0.1] * 3)
    for number in (1, 2, 3):
        architecture = search.trials[number - 1][0]
        search.end(search.begin(architecture, Fidelity(epochs=3), number), accuracy=number / 10)
    (proposal,) = search.ask(1).proposals
    assert (proposal.fidelity, proposal.resume_from) == (None, 6)


def test_numbers_that_are_none_come_last_and_failures_not_at_all() -> None:
    search = at_one_epoch([math.nan, 0.2, 0.1])
    for architecture in drawn(9)[3:]:
        search.end(search.begin(architecture, Fidelity(epochs=1)), ObservationKind.FAILED)
    promoted = [each.resume_from for each in search.ask(5).proposals if each.parents]
    assert promoted == [2]


def test_a_refused_promotion_is_asked_for_without_its_checkpoint_and_then_let_be() -> None:
    search = at_one_epoch([0.1, 0.2, 0.3])
    seen = []
    for _ in range(3):
        promoted = [each for each in search.ask(1).proposals if each.parents]
        seen.append([each.resume_from for each in promoted])
        for each in promoted:
            search.tell(
                ObservationKind.REFUSED, each.architecture, step=search.step, fidelity=Fidelity(epochs=3)
            )
    assert seen == [[3], [0], []]


@pytest.mark.parametrize("scheduler", ["asha", "hyperband", "successive-halving"])
@pytest.mark.parametrize(("trials", "parallel"), [(6, 1), (10, 4), (40, 16)])
def test_enough_reach_the_full_fidelity(scheduler: str, trials: int, parallel: int) -> None:
    search = Search(spec_of(trials=trials), scheduler=scheduler)
    search.run(trials, parallel, worth)
    assert len(search.trials) == trials
    assert len(search.at(9)) >= math.sqrt(trials)
    assert len(search.at(1)) > len(search.at(9)) / 2


def test_halving_waits_for_its_rung() -> None:
    search = Search(spec_of(), scheduler="successive-halving", cohort=3)
    made = [search.accept(each) for each in search.ask(8).proposals]
    assert len(made) == 3
    search.end(made[0], accuracy=0.1)
    search.end(made[1], accuracy=0.9)
    assert search.ask(2).waiting
    search.end(made[2], accuracy=0.2)
    (promoted, *_) = search.ask(1).proposals
    assert promoted.resume_from == made[1]


def test_brackets_of_hyperband_begin_at_each_rung_and_cost_alike() -> None:
    search = Search(spec_of(), scheduler="hyperband")
    search.run(60, 4, worth)
    begun = dict.fromkeys((1, 3, 9), 0)
    for _, fidelity, source in search.trials:
        begun[fidelity.epochs] += not source
    assert begun[1] > begun[3] > begun[9] > 0


def test_a_small_space_is_trained_to_the_end() -> None:
    search = Search(spec_of(space=Space.from_yaml(TINY_SPACE)))
    assert search.run(40, 4, worth)
    assert {each.key for each in search.at(9)} == {each.key for each in search.at(1)}
    assert len({each.key for each in search.at(9)}) == len(search.at(9))


def test_more_data_is_another_training() -> None:
    search = Search(spec_of(Fidelity(data_fraction=1.0)), eta=4)
    for architecture, value in zip(drawn(4), (0.1, 0.2, 0.3, 0.4), strict=True):
        search.end(search.begin(architecture, Fidelity(data_fraction=0.015625)), accuracy=value)
    (promoted,) = search.ask(1).proposals
    assert (promoted.fidelity, promoted.resume_from) == (Fidelity(data_fraction=0.0625), 0)
    assert promoted.parents == (4,)


def test_what_no_training_makes_feasible_is_not_promoted() -> None:
    limit = Constraint("size", Comparison.AT_MOST, 10.0)
    search = Search(spec_of(constraints=(limit,)))
    first, *rest = drawn(6)
    low = search.begin(first, Fidelity(epochs=1))
    search.end(low, accuracy=0.5, size=5.0)
    search.end(search.begin(first, Fidelity(epochs=3), low), accuracy=0.6, size=5.0)
    for architecture in rest:
        trial = search.begin(architecture, Fidelity(epochs=1))
        search.end(trial, ObservationKind.INFEASIBLE, accuracy=0.9, size=50.0)
    assert not [each for each in search.ask(4).proposals if each.parents]


def test_results_are_ordered_by_limits_then_fronts() -> None:
    limit = Constraint("size", Comparison.AT_MOST, 10.0)
    spec = spec_of(objectives=(ACCURACY, SIZE), constraints=(limit,))
    results = [
        {"accuracy": 0.5, "size": 5.0},  # dominated by the next
        {"accuracy": 0.6, "size": 5.0},
        {"accuracy": 0.2, "size": 1.0},
        {"accuracy": 0.9, "size": 30.0},  # further beyond the limit than the next
        {"accuracy": 0.1, "size": 20.0},
        {"accuracy": math.nan, "size": 5.0},
    ]
    assert ordered(spec, results) == [1, 2, 0, 5, 4, 3]


# ------------------------------------------------------------------ the inner strategy


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


# ------------------------------------------------------------------ curves


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
