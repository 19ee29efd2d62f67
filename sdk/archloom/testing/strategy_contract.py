"""The contract of a strategy as tests. Inherit StrategyContract in a test file, name your strategy, run
pytest.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from archloom.errors import InvalidInput
from archloom.space import Architecture, Space, load_preset
from archloom.strategy import convert
from archloom.strategy.base import Strategy
from archloom.strategy.plugin import Plugin
from archloom.strategy.runtime import StrategyRuntime
from archloom.strategy.values import Comparison, Constraint, Goal, Objective, SearchSpec
from archloom.testing.probe import TINY_SPACE, TREE_SPACE, digest_of_answers
from archloom.testing.rehearsal import Ending, Rehearsal, rehearse
from archloom.testing.session import RemotePlugin, Session
from archloom.v1 import strategy_pb2

ACCURACY = Objective("val_accuracy", Goal.MAXIMIZE)
SIZE = Objective("parameters", Goal.MINIMIZE)
SMALL_ENOUGH = Constraint("parameters", Comparison.AT_MOST, 0.5)
#: How the trials of a rough search end, by their number modulo 5.
ROUGH: tuple[Ending, ...] = ("finish", "fail", "infeasible", "cancel", "finish")


class StrategyContract:
    """What the controller relies on, whatever the strategy::

        class TestHillClimber(StrategyContract):
            strategy = HillClimber

    ``strategy`` is a class, an object, or ``"HOST:PORT"`` of a running plugin in any language. ``settings``
    are those it is tested with, ``trials`` the length of each search.
    """

    strategy: ClassVar[type[Strategy[Any, Any]] | Strategy[Any, Any] | str]
    settings: ClassVar[Mapping[str, Any]] = {}
    trials: ClassVar[int] = 40

    # What the tests are made of.

    @pytest.fixture
    def plugin(self) -> Iterator[Plugin]:
        if isinstance(self.strategy, str):
            with RemotePlugin(self.strategy) as remote:
                yield remote
        else:
            yield self._replica()

    @pytest.fixture(params=["tree", "nasbench201"])
    def spec(self, request: pytest.FixtureRequest) -> SearchSpec:
        return self._spec(
            Space.from_yaml(TREE_SPACE) if request.param == "tree" else load_preset(request.param)
        )

    def _replica(self) -> Plugin:
        """A replica that has seen nothing."""
        assert not isinstance(self.strategy, str)
        return StrategyRuntime(self.strategy() if isinstance(self.strategy, type) else self.strategy)

    def _spec(
        self,
        space: Space,
        objectives: tuple[Objective, ...] = (ACCURACY,),
        constraints: tuple[Constraint, ...] = (),
    ) -> SearchSpec:
        return SearchSpec(
            space=space, objectives=objectives, constraints=constraints, trials=self.trials, parallelism=4
        )

    def _search(self, plugin: Plugin, spec: SearchSpec, **options: Any) -> Rehearsal:
        session = Session(plugin, spec, self.settings, seed=7)
        options = {"trials": self.trials, "parallel": 4, **options}
        return rehearse(session, spec, **options)

    # The contract.

    def test_it_says_what_it_is(self, plugin: Plugin) -> None:
        description = plugin.describe()
        assert description.name
        assert description.version
        assert description.build
        assert convert.plain(description.settings_schema).get("type") == "object"

    def test_its_defaults_are_valid(self, plugin: Plugin, spec: SearchSpec) -> None:
        Session(plugin, spec, {}).check()

    def test_an_unknown_setting_is_refused_by_name(self, plugin: Plugin, spec: SearchSpec) -> None:
        with pytest.raises(InvalidInput) as refusal:
            Session(plugin, spec, {"no_such_setting": 1}).check()
        assert "settings.no_such_setting" in [fault.field for fault in refusal.value.violations]

    def test_every_proposal_is_in_the_space(self, plugin: Plugin, spec: SearchSpec) -> None:
        """Each decision that is reachable, once, with a value of its domain; none that is not."""
        for architecture in self._search(plugin, spec).proposed:
            assert not spec.space.check(architecture)

    def test_one_answer_repeats_nothing(self, plugin: Plugin, spec: SearchSpec) -> None:
        for _, answer in self._search(plugin, spec, parallel=16).session.record:
            keys = [
                Architecture.from_proto(proposal.architecture).key for proposal in answer.proposals.proposals
            ]
            assert len(keys) == len(set(keys))

    def test_the_same_request_gets_the_same_bytes(self, plugin: Plugin, spec: SearchSpec) -> None:
        session = self._search(plugin, spec, ending=_rough).session
        for request, answer in session.record:
            assert _bytes(session.exchange(request)) == _bytes(answer)

    def test_a_cold_replica_answers_any_step_as_the_warm_one(self, plugin: Plugin, spec: SearchSpec) -> None:
        """Killed after any step, started elsewhere: the replay is equal."""
        session = self._search(plugin, spec, ending=_rough).session
        for request, answer in session.record:
            if isinstance(self.strategy, str):
                # A uid it has not met: nothing it keeps can be this experiment's.
                stranger = strategy_pb2.ProposeRequest()
                stranger.CopyFrom(request)
                stranger.experiment_uid = f"{request.experiment_uid}-{request.step}"
                assert _bytes(session.exchange(stranger)) == _bytes(answer)
            else:
                assert _bytes(session.exchange(request, self._replica())) == _bytes(answer)

    def test_experiments_do_not_touch_each_other(self, plugin: Plugin, spec: SearchSpec) -> None:
        """Two searches that take turns on one replica go as each would alone."""
        alone = self._search(plugin, spec)
        sessions = [Session(plugin, spec, self.settings, seed=seed, name=f"turn-{seed}") for seed in (7, 8)]
        for step, (request, _) in enumerate(alone.session.record[:10], start=1):
            for session in sessions:
                assert session.ask(request.count).step == step
        first = Session(plugin, spec, self.settings, seed=7, name="turn-7")
        for turned, _ in sessions[0].record:
            assert _bytes(first.ask(turned.count)) == _bytes(sessions[0].record[first.step - 1][1])

    @pytest.mark.parametrize("count", [1, 2, 7, 64])
    def test_any_number_may_be_asked(self, plugin: Plugin, spec: SearchSpec, count: int) -> None:
        result = self._search(plugin, spec, parallel=count, trials=max(self.trials, 2 * count))
        assert all(
            len(answer.proposals.proposals) <= request.count for request, answer in result.session.record
        )
        assert result.ended

    def test_asked_for_nothing_it_only_listens(self, plugin: Plugin, spec: SearchSpec) -> None:
        session = Session(plugin, spec, self.settings)
        answer = session.ask(0)
        assert not answer.proposals.proposals
        for ordinal, proposal in enumerate(session.ask(3).proposals.proposals):
            session.finish(session.accept(ordinal, proposal), {ACCURACY.metric: 0.5})
        assert not session.ask(0).proposals.proposals

    def test_another_seed_gives_another_search(self, plugin: Plugin, spec: SearchSpec) -> None:
        one, other = (
            rehearse(Session(plugin, spec, self.settings, seed=seed), spec, trials=10) for seed in (1, 2)
        )
        assert [each.key for each in one.trials] != [each.key for each in other.trials]

    def test_it_lives_with_trials_that_fail(self, plugin: Plugin, spec: SearchSpec) -> None:
        assert self._search(plugin, spec, ending=lambda trial: "fail").ended == self.trials
        assert self._search(plugin, spec, ending=_rough).ended == self.trials

    def test_it_lives_with_equal_results(self, plugin: Plugin, spec: SearchSpec) -> None:
        assert self._search(plugin, spec, fixed_metrics={ACCURACY.metric: 0.1}).ended == self.trials

    def test_a_users_trials_are_told_as_its_own(self, plugin: Plugin, spec: SearchSpec) -> None:
        source = self._search(plugin, spec, trials=5)
        session = Session(plugin, spec, self.settings, seed=9)
        for architecture in source.trials:
            proposal = strategy_pb2.Proposal(architecture=architecture.to_proto())
            session.finish(session.enqueue(proposal), {ACCURACY.metric: 0.7})
        assert rehearse(session, spec, trials=10).ended == 10

    def test_a_small_space_comes_to_an_end(self, plugin: Plugin) -> None:
        """All eight architectures become trials, and then it says that there is no more."""
        spec = self._spec(Space.from_yaml(TINY_SPACE))
        result = self._search(plugin, spec, trials=9)
        assert len(result.trials) == spec.space.size() == 8
        assert result.exhausted

    def test_it_takes_the_objectives_it_says(self, plugin: Plugin, spec: SearchSpec) -> None:
        two = self._spec(spec.space, objectives=(ACCURACY, SIZE))
        if plugin.describe().capabilities.max_objectives == 1:
            with pytest.raises(InvalidInput) as refusal:
                Session(plugin, two, self.settings).check()
            assert [fault.field for fault in refusal.value.violations] == ["objectives"]
        else:
            Session(plugin, two, self.settings).check()
            assert self._search(plugin, two, ending=_rough).ended == self.trials

    def test_it_takes_constraints_if_it_says_so(self, plugin: Plugin, spec: SearchSpec) -> None:
        limited = self._spec(spec.space, constraints=(SMALL_ENOUGH,))
        if plugin.describe().capabilities.constraints:
            Session(plugin, limited, self.settings).check()
            assert self._search(plugin, limited, ending=_rough).ended == self.trials
            assert self._search(plugin, limited, ending=lambda trial: "infeasible").ended == self.trials
        else:
            with pytest.raises(InvalidInput) as refusal:
                Session(plugin, limited, self.settings).check()
            assert [fault.field for fault in refusal.value.violations] == ["constraints"]

    def test_the_state_stays_small(self, plugin: Plugin, spec: SearchSpec) -> None:
        """3 MiB at most; and a state that holds the whole log belongs into the history."""
        sizes = [len(answer.state.data) for _, answer in self._search(plugin, spec).session.record]
        assert max(sizes) <= 3 * 1024 * 1024

    def test_the_order_of_hashing_does_not_show(self, plugin: Plugin) -> None:
        """Sets and dicts that are walked in the order of their hashes differ between processes."""
        if isinstance(self.strategy, str):
            # Its process is its own: what can be seen from here is that its answers repeat.
            answers = {digest_of_answers(plugin, self.settings, self.trials) for _ in range(2)}
        else:
            answers = {_digest_in_process(self.strategy, self.settings, self.trials, seed) for seed in (1, 2)}
        assert len(answers) == 1


def _rough(trial: int) -> Ending:
    return ROUGH[trial % len(ROUGH)]


def _bytes(answer: strategy_pb2.ProposeResponse) -> bytes:
    return hashlib.sha256(answer.SerializeToString(deterministic=True)).digest()


def _digest_in_process(
    strategy: type[Strategy[Any, Any]] | Strategy[Any, Any],
    settings: Mapping[str, Any],
    trials: int,
    hash_seed: int,
) -> str:
    """The digest of a whole search's answers, made by a new process whose hashes are seeded with
    ``hash_seed``.
    """
    import inspect
    import json

    kind = strategy if isinstance(strategy, type) else type(strategy)
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "archloom.testing.probe",
            str(Path(inspect.getfile(kind)).resolve()),
            kind.__qualname__,
            json.dumps(dict(settings)),
            str(trials),
        ],
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()
