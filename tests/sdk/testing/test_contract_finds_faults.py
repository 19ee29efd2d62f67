"""The conformance kit is worth what it finds: each of these strategies breaks one promise, and one test
says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from archloom.space import Architecture, Space
from archloom.strategy import (
    Capabilities,
    Objective,
    Proposal,
    ProposeRequest,
    ProposeResult,
    SearchSpec,
    Strategy,
)
from archloom.strategy.runtime import StrategyRuntime
from archloom.strategy.server import StrategyServer
from archloom.testing import StrategyContract
from archloom.testing.probe import TREE_SPACE
from pydantic import BaseModel


class Honest(Strategy):
    """Draws at random; each fault is one change to it."""

    name = "honest"
    capabilities = Capabilities(max_objectives=0, constraints=True)

    def propose(self, request: ProposeRequest) -> ProposeResult:
        return ProposeResult([Proposal(each) for each in self.drawn(request)])

    def drawn(self, request: ProposeRequest) -> list[Architecture]:
        found = {each.key: each for each in (request.space.sample(request.rng) for _ in range(request.count))}
        return list(found.values())


class Holding(Honest):
    """Keeps what it made in the object."""

    def __init__(self) -> None:
        self.made: set[str] = set()

    def drawn(self, request: ProposeRequest) -> list[Architecture]:
        fresh = [each for each in super().drawn(request) if each.key not in self.made]
        self.made.update(each.key for each in fresh)
        return fresh or super().drawn(request)


class Unordered(Honest):
    """Walks a set."""

    def drawn(self, request: ProposeRequest) -> list[Architecture]:
        found = {each.key: each for each in super().drawn(request)}
        return [found[key] for key in set(found)]


class Repeating(Honest):
    def drawn(self, request: ProposeRequest) -> list[Architecture]:
        return super().drawn(request)[:1] * request.count


class Straying(Honest):
    """Leaves a decision out."""

    def drawn(self, request: ProposeRequest) -> list[Architecture]:
        return [Architecture(dict(list(each.decisions.items())[1:])) for each in super().drawn(request)]


class Unseeded(Honest):
    def drawn(self, request: ProposeRequest) -> list[Architecture]:
        return [
            architecture
            for architecture, _ in zip(request.space.enumerate(), range(request.count), strict=False)
        ]


class Generous(Honest):
    def drawn(self, request: ProposeRequest) -> list[Architecture]:
        return [request.space.sample(request.rng) for _ in range(request.count + 1)]


class Trusting(Honest):
    """Every trial has the metric."""

    def drawn(self, request: ProposeRequest) -> list[Architecture]:
        ended = [event for event in request.observations if event.kind.value in ("finished", "failed")]
        assert all(event.metrics["val_accuracy"] >= 0 for event in ended)
        return super().drawn(request)


class Limited(BaseModel):
    wish: int


class Demanding(Strategy[Limited, None]):
    """A setting without a default."""

    name = "demanding"

    def propose(self, request: ProposeRequest[Limited, None]) -> ProposeResult[None]:
        return ProposeResult()


def tree_spec(contract: StrategyContract) -> SearchSpec:
    return contract._spec(Space.from_yaml(TREE_SPACE))


@pytest.mark.parametrize(
    ("faulty", "finds"),
    [
        (Holding, StrategyContract.test_the_same_request_gets_the_same_bytes),
        (Holding, StrategyContract.test_a_cold_replica_answers_any_step_as_the_warm_one),
        (Repeating, StrategyContract.test_one_answer_repeats_nothing),
        (Straying, StrategyContract.test_every_proposal_is_in_the_space),
        (Unseeded, StrategyContract.test_another_seed_gives_another_search),
        (Trusting, StrategyContract.test_it_lives_with_trials_that_fail),
        (Demanding, StrategyContract.test_its_defaults_are_valid),
    ],
)
def test_each_fault_is_found(faulty: type[Strategy[Any, Any]], finds: Callable[..., None]) -> None:
    assert _fails(faulty, finds)
    if faulty is not Demanding:
        assert not _fails(Honest, finds)


def _fails(kind: type[Strategy[Any, Any]], test: Callable[..., None]) -> bool:
    class Contract(StrategyContract):
        strategy = kind

    contract = Contract()
    try:
        test(contract, contract._replica(), tree_spec(contract))
    except Exception:
        return True
    return False


def test_too_many_proposals_are_found() -> None:
    class Contract(StrategyContract):
        strategy = Generous

    contract = Contract()
    with pytest.raises(Exception, match="2 proposals, but 1 were wanted"):
        contract.test_any_number_may_be_asked(contract._replica(), tree_spec(contract), 1)


def test_a_walk_over_a_set_is_found() -> None:
    class Contract(StrategyContract):
        strategy = Unordered

    contract = Contract()
    with pytest.raises(AssertionError):
        contract.test_the_order_of_hashing_does_not_show(contract._replica())


def test_a_search_without_an_end_is_found() -> None:
    class Contract(StrategyContract):
        strategy = Honest

    contract = Contract()
    with pytest.raises(Exception, match="brought nothing new"):
        contract.test_a_small_space_comes_to_an_end(contract._replica())


class TestAPluginAtAnAddress(StrategyContract):
    """The same kit against a socket, as for a plugin in another language."""

    trials = 12

    @pytest.fixture(scope="class", autouse=True)
    def served(self, request: pytest.FixtureRequest) -> Any:
        from archloom_strategies.regularized_evolution import RegularizedEvolution

        with StrategyServer(StrategyRuntime(RegularizedEvolution())) as server:
            request.cls.strategy = server.address
            yield


def test_the_objective_of_the_kit_is_the_one_it_tells() -> None:
    assert tree_spec(StrategyContract()).objectives == (Objective("val_accuracy"),)
