from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from archloom.errors import InvalidInput
from archloom.space import Architecture
from archloom.strategy import Goal, Objective, SearchSpec
from archloom.strategy.runtime import StrategyRuntime
from archloom.testing.rehearsal import Rehearsal, quality, rehearse
from archloom.testing.session import Session, SessionTrial
from archloom.testing.spaces import space_named
from archloom.v1 import strategy_pb2
from archloom_strategies.training_free.log import NEVER
from archloom_strategies.training_free.strategy import SCORES, TrainingFree

TREE = space_named("tree")
RANDOM = {"name": "random", "settings": {}}


def spec_of(**fields: Any) -> SearchSpec:
    known = {"space": TREE, "objectives": (Objective("score"),), "trials": 12, "parallelism": 1}
    return SearchSpec(**{**known, "proxy_trials": 10_000, **fields})


class Table:
    """The controller's side, for scores that are a function of the architecture: those of ``offered``, at
    most ``limit`` proxy trials.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        offered: tuple[str, ...] = ("synflow", "zen"),
        limit: int = 1_000,
        spec: SearchSpec | None = None,
        score: Callable[[float], float] = lambda value: value,
    ) -> None:
        self.session = Session(StrategyRuntime(TrainingFree()), spec or spec_of(), settings, seed=3)
        self.offered, self.limit, self.scorer = offered, limit, score
        self.scored: dict[str, float] = {}
        """Those that have all scores that are offered."""
        self.real: list[Architecture] = []
        self.notes: list[str] = []
        self.refused = 0
        self.exhausted = ""

    def step(self, count: int = 1) -> list[SessionTrial]:
        """Asks; scores are given at once, real trials are answered."""
        answer = self.session.ask(count)
        self.exhausted = answer.exhausted.reason
        trials = []
        for ordinal, proposal in enumerate(answer.proposals.proposals):
            names = tuple(proposal.fidelity.proxies)
            if names and (set(names) - set(self.offered) or len(self.scored) >= self.limit):
                self.session.refuse(ordinal, proposal, "not offered, or spent")
                self.refused += 1
                continue
            trial = self.session.accept(ordinal, proposal)
            if names:
                self.score(trial, names)
            else:
                self.real.append(Architecture.from_proto(proposal.architecture))
                self.notes.append(proposal.note)
                trials.append(trial)
        return trials

    def score(self, trial: SessionTrial, names: tuple[str, ...]) -> None:
        architecture = Architecture.from_proto(trial.proposal.architecture)
        value = self.scorer(quality(architecture, "score"))
        if names == self.offered:
            self.scored[architecture.key] = value
        self.session.finish(trial, dict.fromkeys(names, value))

    def run(self, trials: int, count: int = 1, steps: int = 200) -> None:
        for _ in range(steps):
            for trial in self.step(count):
                architecture = Architecture.from_proto(trial.proposal.architecture)
                self.session.finish(trial, {"score": quality(architecture, "score")})
            if len(self.real) >= trials or self.exhausted:
                return
        raise AssertionError(f"{len(self.real)} trials after {steps} steps")

    def best_ranked(self) -> list[str]:
        return sorted(self.scored, key=lambda key: -self.scored[key])


def test_a_pool_is_scored_and_its_best_are_trained_first() -> None:
    table = Table({"pool": 30, "warm_start": 3, "scores": ["synflow", "zen"], "inner": RANDOM})
    table.run(3)
    assert len(table.scored) == 30
    assert [each.key for each in table.real] == table.best_ranked()[:3]


def test_the_pool_is_bred_from_the_best_ranked() -> None:
    """Of 1,080 architectures, 60 were scored: the best of them is among the best that there are."""
    table = Table({"pool": 60, "scores": ["synflow", "zen"], "inner": RANDOM})
    table.run(1, count=4)
    drawn = list(table.scored.values())
    assert max(drawn[24:]) > max(drawn[:24])


def test_a_search_trains_them_in_that_order_and_scores_more_on_the_way() -> None:
    table = Table({"pool": 6, "mode": "search", "scores": ["zen"], "inner": RANDOM}, ("zen",))
    table.run(6)
    assert len(table.scored) >= 10
    first = table.best_ranked()
    assert table.real[0].key in first
    assert all(each.key in table.scored for each in table.real)


def test_scores_that_are_not_offered_are_left_out() -> None:
    table = Table({"pool": 20, "inner": RANDOM}, ("synflow", "zen"))
    table.run(2, count=4)
    assert len(table.scored) == 20
    assert [each.key for each in table.real[:2]] == table.best_ranked()[:2]


def test_without_any_score_the_inner_strategy_goes_on_alone() -> None:
    table = Table({"pool": 20, "inner": RANDOM}, ())
    table.run(4)
    assert not table.scored
    assert len(table.real) == 4
    assert table.refused == NEVER * (1 + len(SCORES))


def test_where_proxy_trials_are_forbidden_none_is_asked_for() -> None:
    table = Table({"pool": 20, "inner": RANDOM}, spec=spec_of(proxy_trials=0))
    table.run(4)
    assert (len(table.scored), table.refused, len(table.real)) == (0, 0, 4)


def test_when_the_limit_of_proxy_trials_is_spent_the_best_so_far_are_trained() -> None:
    table = Table({"pool": 40, "scores": ["zen"], "inner": RANDOM}, ("zen",), limit=7)
    table.run(2)
    assert len(table.scored) == 7
    assert [each.key for each in table.real[:2]] == table.best_ranked()[:2]


def test_it_waits_for_scores_that_are_under_way() -> None:
    session = Session(
        StrategyRuntime(TrainingFree()), spec_of(), {"pool": 4, "scores": ["zen"], "inner": RANDOM}, seed=1
    )
    answer = session.ask(4)
    under_way = [session.accept(n, each) for n, each in enumerate(answer.proposals.proposals)]
    assert len(under_way) == 4
    assert session.ask(2).HasField("wait")
    for number, trial in enumerate(under_way):
        session.finish(trial, {"zen": float(number)})
    trained = session.ask(2).proposals.proposals
    assert [each.architecture for each in trained] == [
        trial.proposal.architecture for trial in (under_way[3], under_way[2])
    ]


def test_scores_that_mislead_cost_a_few_trials_only() -> None:
    """The worst rank first. Of 1,080, random search meets one of the best 54 within 20 trials, on average."""
    table = Table({"pool": 60, "scores": ["zen"]}, ("zen",), score=lambda value: -value)
    table.run(20)
    reached = [quality(each, "score") for each in table.real]
    best = sorted((quality(each, "score") for each in TREE.enumerate()), reverse=True)
    assert max(reached[:2]) < best[len(best) // 2]
    assert max(reached) >= best[53]


def test_many_at_once_are_all_taken_from_the_ranked() -> None:
    table = Table({"pool": 30, "scores": ["zen"], "inner": RANDOM}, ("zen",), spec=spec_of(parallelism=16))
    table.run(16, count=16)
    assert [each.key for each in table.real[:16]] == table.best_ranked()[:16]


def test_a_users_trials_count_towards_the_warm_start() -> None:
    table = Table({"pool": 20, "warm_start": 3, "scores": ["zen"], "inner": RANDOM}, ("zen",))
    for architecture in list(TREE.enumerate())[:2]:
        proposal = strategy_pb2.Proposal(architecture=architecture.to_proto())
        table.session.finish(table.session.enqueue(proposal), {"score": 0.1})
    table.run(2)
    assert table.notes == ["rank 1 of 20", ""]


def test_of_a_front_one_trial_is_from_the_pool() -> None:
    several = spec_of(objectives=(Objective("score"), Objective("cost", Goal.MINIMIZE)), trials=40)
    table = Table({"pool": 20, "scores": ["zen"], "inner": RANDOM}, ("zen",), spec=several)
    table.run(3)
    assert table.notes == ["rank 1 of 20", "", ""]


def rehearsal(space: str, settings: dict[str, Any], trials: int) -> Rehearsal:
    spec = spec_of(space=space_named(space), trials=trials)
    session = Session(StrategyRuntime(TrainingFree()), spec, settings, seed=2)
    return rehearse(session, spec, trials=trials, parallel=2, scores=True)


@pytest.mark.parametrize("mode", ["warm-start", "search"])
def test_a_small_space_is_scored_whole_and_comes_to_its_end(mode: str) -> None:
    result = rehearsal("tiny", {"mode": mode, "pool": 50}, 9)
    assert len(result.trials) == len({each.key for each in result.trials}) == 8
    assert sum(bool(each.fidelity.proxies) for each in result.asked) == 8
    assert result.exhausted


def test_one_network_is_scored_and_trained_once() -> None:
    """27 ways of writing 12 networks."""
    result = rehearsal("twins", {"pool": 50}, 13)
    assert sum(bool(each.fidelity.proxies) for each in result.asked) == 12
    assert len(result.trials) == 12


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"scores": ["zen", "zen"]}, "settings.scores"),
        ({"scores": []}, "settings.scores"),
        ({"inner": {"name": "no-such"}}, "settings.inner.name"),
        ({"inner": {"name": "bayesian", "settings": {"initial": 0}}}, "settings.inner.settings.initial"),
    ],
)
def test_faults_of_settings_are_named(settings: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        Session(StrategyRuntime(TrainingFree()), spec_of(), settings).check()
    assert field in [fault.field for fault in refusal.value.violations]
