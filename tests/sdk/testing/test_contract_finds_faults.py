"""The conformance kit is worth what it finds: each of these strategies breaks one promise, and one
requirement says so.
"""

from __future__ import annotations

from typing import Any

import faulty_strategies as faulty
import pytest
from archloom.errors import ArchloomError, Unavailable
from archloom.strategy import Strategy
from archloom.strategy.runtime import StrategyRuntime
from archloom.strategy.server import StrategyServer
from archloom.testing import StrategyContract
from archloom.testing.kit import Broken, Kit, judge
from archloom.testing.requirements import REQUIREMENTS
from archloom.testing.session import RemotePlugin

BY_NAME = {each.name: each for each in REQUIREMENTS}

#: requirement -> those that break it, and what is said of it.
FAULTS: list[tuple[str, type[Strategy[Any, Any]], str]] = [
    ("explains-its-settings", faulty.Demanding, "wish"),
    ("runs-with-defaults", faulty.Demanding, "settings.wish"),
    ("several-objectives", faulty.Single, "too many values"),
    ("constraints", faulty.Unlimited, "AssertionError"),
    ("floats", faulty.Discrete, "AssertionError"),
    ("fidelities", faulty.Hasty, "`multi_fidelity` is not said"),
    ("fidelities", faulty.Grafting, "weights of another architecture"),
    ("same-request-same-bytes", faulty.Holding, "step 1: the same request"),
    ("cold-as-warm", faulty.Holding, "answers otherwise"),
    ("replay", faulty.Counting, "a replay from step 3 on differs"),
    ("experiments-apart", faulty.Mixing, "take turns"),
    ("state", faulty.Forgetful, "loaded and dumped again"),
    ("foreign-state", faulty.Guessing, "layout 1,000,000"),
    ("seeds", faulty.Unseeded, "one search"),
    ("hash-order", faulty.Unordered, "two processes"),
    ("in-the-space", faulty.Straying, "not in the space"),
    ("one-answer", faulty.Repeating, "twice"),
    ("networks-once", faulty.Respelling, "is the network and the recipe of trial"),
    ("batches", faulty.Generous, "2 proposals, but 1 were wanted"),
    ("listens", faulty.Generous, "1 proposals, but 0 were wanted"),
    ("small-space", faulty.Endless, "200 steps brought nothing new"),
    ("small-space", faulty.Quitting, "of 8 architectures"),
    ("failures", faulty.Trusting, "AssertionError"),
    ("no-numbers", faulty.Adding, "total"),
    ("equal-results", faulty.Spreading, "ZeroDivisionError"),
    ("refusals", faulty.Waiting, "waits, but nothing is running"),
    ("users-trials", faulty.Deaf, "a user brought"),
    ("users-midway", faulty.Owning, "AssertionError"),
    ("scores", faulty.Hopeful, "200 steps brought nothing new"),
    ("scores", faulty.Scored, "AssertionError"),
    ("scores", faulty.Silent, "`proxies` is not said"),
    ("stops", faulty.Stopping, "99999"),
]


@pytest.fixture(scope="module")
def sound() -> Kit:
    return Kit.of(faulty.Sound, trials=12)


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=lambda each: each.name)
def test_a_sound_strategy_keeps_each(sound: Kit, requirement: Any) -> None:
    outcome = judge(requirement, sound)
    not_asked = requirement.name in ("scores", "stops")
    assert (outcome.status, outcome.found if not not_asked else "") == (
        "not asked" if not_asked else "passed",
        "",
    )


@pytest.mark.parametrize(("name", "kind", "said"), FAULTS, ids=lambda each: getattr(each, "__name__", None))
def test_each_fault_is_found(name: str, kind: type[Strategy[Any, Any]], said: str) -> None:
    outcome = judge(BY_NAME[name], Kit.of(kind, trials=12))
    assert outcome.status == "failed"
    assert said in outcome.found


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("describes-itself", faulty.Nameless, "no version"),
        ("refuses-unknown-settings", faulty.Agreeable, "named no fault"),
    ],
)
def test_faults_of_a_plugins_messages_are_found(name: str, kind: type[StrategyRuntime], said: str) -> None:
    outcome = judge(BY_NAME[name], Kit(kind(faulty.Sound())))
    assert outcome.status == "failed"
    assert said in outcome.found


def test_every_requirement_has_a_strategy_that_breaks_it() -> None:
    broken = {name for name, _, _ in FAULTS} | {"describes-itself", "refuses-unknown-settings"}
    assert broken == set(BY_NAME)


def test_a_baseline_may_repeat_networks_but_no_more() -> None:
    kit = Kit.of(faulty.Respelling, trials=12, repeats_networks=True)
    assert judge(BY_NAME["networks-once"], kit).status == "passed"
    assert judge(BY_NAME["users-trials"], kit).status == "passed"


def test_a_plugin_that_goes_away_is_no_fault_of_its_answers() -> None:
    with StrategyServer(StrategyRuntime(faulty.Sound())) as server, RemotePlugin(server.address) as remote:
        kit = Kit(remote, trials=12)
        assert judge(BY_NAME["describes-itself"], kit).status == "passed"
        server.stop()
        with pytest.raises(Unavailable):
            judge(BY_NAME["batches"], kit)


def test_pytest_tells_the_remedy_with_the_fault() -> None:
    class Contract(StrategyContract):
        strategy = faulty.Quitting

    requirement = BY_NAME["small-space"]
    with pytest.raises((Broken, ArchloomError)) as fault:
        Contract().test_it_keeps(Kit.of(faulty.Quitting, trials=12), requirement)
    assert requirement.remedy in fault.value.__notes__[0]


class TestAPluginAtAnAddress(StrategyContract):
    """The same kit against a socket, as for a plugin in another language."""

    trials = 12

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def served(cls) -> Any:
        with StrategyServer(StrategyRuntime(faulty.Sound())) as server:
            cls.strategy = server.address
            yield
