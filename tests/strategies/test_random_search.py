from __future__ import annotations

import pytest
from archloom.space import Space, load_preset
from archloom.strategy import Objective, SearchSpec
from archloom.strategy.runtime import StrategyRuntime
from archloom.testing import StrategyContract
from archloom.testing.probe import TINY_SPACE, TREE_SPACE
from archloom.testing.rehearsal import rehearse
from archloom.testing.session import Session
from archloom_strategies.random_search import RandomSearch


class TestRandomSearchContract(StrategyContract):
    strategy = RandomSearch
    repeats_networks = True


def spec_of(space: Space) -> SearchSpec:
    return SearchSpec(space=space, objectives=(Objective("val_accuracy"),), trials=1000, parallelism=8)


@pytest.mark.parametrize(
    ("sampling", "share"),
    [("decisions", 1 / 3), ("architectures", 2 / 45)],
)
def test_decisions_are_uniform_or_architectures_are(sampling: str, share: float) -> None:
    """The middle of the tree space has three branches, with 2, 1 and 42 continuations."""
    runtime, spec = StrategyRuntime(RandomSearch()), spec_of(Space.from_yaml(TREE_SPACE))
    plain = 0
    for seed in range(2000):
        (proposal,) = Session(runtime, spec, {"sampling": sampling}, seed=seed).ask(1).proposals.proposals
        plain += "plain" in [each.text for each in proposal.architecture.decisions]
    assert plain / 2000 == pytest.approx(share, abs=0.02)


def test_a_small_space_is_drawn_to_its_end_in_a_random_order() -> None:
    spec = spec_of(Space.from_yaml(TINY_SPACE))
    orders = set()
    for seed in range(20):
        session = Session(StrategyRuntime(RandomSearch()), spec, seed=seed)
        result = rehearse(session, spec, trials=100, parallel=3)
        assert result.exhausted == "every architecture was proposed"
        keys = [each.key for each in result.proposed]
        assert len(keys) == len(set(keys)) == 8
        orders.add(tuple(keys))
    assert len(orders) == 20


def test_its_state_does_not_grow_with_the_search() -> None:
    tree = spec_of(Space.from_yaml(TREE_SPACE))
    session = Session(StrategyRuntime(RandomSearch()), tree)
    rehearse(session, tree, trials=300, parallel=10)
    assert 0 < max(len(answer.state.data) for _, answer in session.record) < 320
    large = spec_of(load_preset("nasbench201"))
    session = Session(StrategyRuntime(RandomSearch()), large)
    rehearse(session, large, trials=300, parallel=10)
    assert not any(answer.HasField("state") for _, answer in session.record)


def test_what_it_is_told_changes_nothing() -> None:
    """The draws of a search do not depend on its results: that is what makes it the baseline."""
    spec = spec_of(load_preset("nasbench201"))
    searches = [
        rehearse(
            Session(StrategyRuntime(RandomSearch()), spec),
            spec,
            trials=50,
            fixed_metrics={"val_accuracy": value},
        )
        for value in (0.1, 0.9)
    ]
    assert searches[0].proposed == searches[1].proposed
