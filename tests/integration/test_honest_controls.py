"""The comparison with random search is honest: random search is hardly ever called better than itself."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from archloom.client import Client
from archloom.space import Architecture, load_preset
from archloom.space.nasbench201 import to_arch_string
from archloom.strategy import ProposeRequest, ProposeResult, Strategy
from archloom.strategy.runtime import StrategyRuntime
from archloom.strategy.values import Goal, Objective, SearchSpec
from archloom.testing.session import Session
from archloom.v1 import architecture_pb2, experiment_pb2
from archloom.v1.experiment_pb2 import Verdict
from archloom_controller.comparison import Outcome, compare
from archloom_controller.engine.controls import draw
from archloom_controller.engine.draft import Draft
from archloom_controller.engine.frame import Frame
from archloom_controller.engine.vetting import Vetted, Vetting
from archloom_controller.store import Store
from archloom_strategies.random_search import RandomSearch
from searches import ended, table_search
from synthetic_table import rows

EXPERIMENTS = 1000
TRIALS = 60
CONTROLS = 15
METRIC = "val_accuracy"


class NothingStored:
    """Stands for the store of an experiment without trials."""

    async def repeated(self, keys: Collection[str]) -> dict[str, int]:
        return {}


class Informed(RandomSearch):
    """Random draws, but only those with three 3x3 convolutions, the operation that helps most."""

    name = "informed"

    def propose(self, request: ProposeRequest[Any, Any]) -> ProposeResult[Any]:
        drawn = super().propose(request).proposals
        return ProposeResult(
            [each for each in drawn if to_arch_string(each.architecture).count("nor_conv_3x3") >= 3]
        )


class TableVetting(Vetting):
    """Takes every architecture: all of nasbench201 can be built."""

    def vet_drawn(self, architecture: Architecture) -> Vetted:
        return Vetted(architecture.to_proto().SerializeToString(), architecture.key, "", (), {})


class Comparisons:
    """Experiments in a table without the stack, with the engine's own draws of controls and comparison."""

    def __init__(self) -> None:
        self._values = {name: value for name, value, _ in rows()}
        self._space = load_preset("nasbench201")
        self._objectives = (Objective(METRIC, Goal.MAXIMIZE),)
        self._vetting = TableVetting(self._frame(0))

    def _frame(self, seed: int) -> Frame:
        spec = experiment_pb2.ExperimentSpec(seed=seed)
        frame = Frame(
            uid=str(seed),
            name=cast(Any, None),
            revision=1,
            spec=spec,
            batched=True,
            reads_data=False,
            reads_files=True,
            evaluator_version="1",
            dataset_digest="",
            classes=0,
        )
        # Parsed once for all, as the engine does for one.
        frame.__dict__["space"] = self._space
        return frame

    def _outcome(self, architecture: Architecture) -> Outcome:
        return Outcome((-self._values[to_arch_string(architecture)],))

    async def controls(self, seed: int) -> list[Outcome]:
        store = cast(Store, SimpleNamespace(trials=NothingStored()))
        # An experiment's first step, in which nothing was made yet.
        draft = SimpleNamespace(frame=self._frame(seed), counters={"control": 0}, repeat_keys=set)
        drawn = await draw(cast(Draft, draft), self._vetting, store, CONTROLS)
        assert len({key for _, key in drawn}) == CONTROLS
        return [self._outcome(architecture_of(vetted.architecture)) for vetted, _ in drawn]

    def proposed(self, strategy: Strategy[Any, Any], seed: int) -> list[Outcome]:
        """Results in the order of the proposals, repeats refused."""
        spec = SearchSpec(self._space, self._objectives, trials=TRIALS)
        session = Session(StrategyRuntime(strategy), spec, seed=seed)
        found: dict[str, Outcome] = {}
        while len(found) < TRIALS:
            for ordinal, proposal in enumerate(session.ask(min(20, TRIALS - len(found))).proposals.proposals):
                architecture = Architecture.from_proto(proposal.architecture)
                if architecture.key in found:
                    session.refuse(ordinal, proposal, "it was proposed before")
                    continue
                outcome = found[architecture.key] = self._outcome(architecture)
                assert outcome.values is not None
                session.finish(session.accept(ordinal, proposal), {METRIC: -outcome.values[0]})
        return list(found.values())

    async def share_called_better(self, strategy: Strategy[Any, Any], seeds: Sequence[int]) -> float:
        better = 0
        for seed in seeds:
            trials = self.proposed(strategy, seed)
            comparison = compare(trials, await self.controls(seed), METRIC, -1.0)
            better += comparison.verdict == Verdict.VERDICT_BETTER
        return better / len(seeds)


def architecture_of(data: bytes) -> Architecture:
    return Architecture.from_proto(architecture_pb2.Architecture.FromString(data))


@pytest.fixture(scope="module")
def comparisons() -> Comparisons:
    return Comparisons()


async def test_random_is_called_better_in_at_most_seven_percent(comparisons: Comparisons) -> None:
    share = await comparisons.share_called_better(RandomSearch(), range(1, EXPERIMENTS + 1))
    assert 0 < share <= 0.07


async def test_a_better_strategy_is_called_better(comparisons: Comparisons) -> None:
    """Else a comparison that never says so would pass."""
    share = await comparisons.share_called_better(Informed(), range(1, 21))
    assert share >= 0.9


def test_the_whole_stack_compares_the_same(client: Client, table: Path) -> None:
    """What the report says is what its trials give."""
    names = [
        client.experiments.create(
            table_search(
                table,
                strategy={"name": "random"},
                budget={"trials": TRIALS + CONTROLS},
                control={"share": CONTROLS / (TRIALS + CONTROLS)},
                finalists={"count": 0},
                seed=seed,
            )
        ).name
        for seed in range(1, 6)
    ]
    for name in names:
        ended(client, name)
        sides: dict[str, list[Outcome]] = {"search": [], "control": []}
        for trial in client.trials.list(name):
            sides[trial.role].append(Outcome((-trial.metrics[METRIC],)))
        assert (len(sides["search"]), len(sides["control"])) == (TRIALS, CONTROLS)
        wanted = compare(sides["search"], sides["control"], METRIC, -1.0)
        told = client.experiments.report(name).control
        assert told is not None
        assert told.p_value == pytest.approx(wanted.p_value)
        assert told.matched_trials == wanted.matched_trials
        assert told.margin == pytest.approx(wanted.margin)
        assert told.verdict == Verdict.Name(wanted.verdict).removeprefix("VERDICT_").lower()
