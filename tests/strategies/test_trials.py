from __future__ import annotations

from typing import Any

from archloom.space import Architecture, Space
from archloom.strategy import Fidelity, Objective, Observation, ObservationKind, SearchSpec
from archloom.testing.probe import TINY_SPACE
from archloom_strategies.trials import Log, gather

SPACE = Space.from_yaml(TINY_SPACE)
MEMBERS = list(SPACE.enumerate())
SPEC = SearchSpec(space=SPACE, objectives=(Objective("accuracy"),), fidelity=Fidelity(epochs=9))


def event(kind: ObservationKind, architecture: Architecture, **fields: Any) -> Observation:
    return Observation(0, kind, architecture, **{"fidelity": SPEC.fidelity, **fields})


def log_of(*events: Observation) -> Log:
    return gather(events, SPEC)


def test_what_is_accepted_is_pending_until_it_ends() -> None:
    a, b, c = MEMBERS[:3]
    started = [event(ObservationKind.ACCEPTED, a), event(ObservationKind.ENQUEUED, b)]
    assert [trial.architecture for trial in log_of(*started).pending] == [a, b]
    ended = [*started, event(ObservationKind.FINISHED, a, metrics={"accuracy": 0.5})]
    ended += [event(ObservationKind.CANCELLED, b), event(ObservationKind.REFUSED, c)]
    log = log_of(*ended)
    assert not log.pending
    assert [trial.architecture for trial in log.ended] == [a]
    assert log.asked == {a.key, b.key, c.key}


def test_the_mean_of_what_was_measured_twice() -> None:
    events = [event(ObservationKind.FINISHED, MEMBERS[0], metrics={"accuracy": each}) for each in (0.2, 0.6)]
    (trial,) = log_of(*events).ended
    assert trial.metrics == {"accuracy": 0.4}


def test_a_failure_of_the_machine_says_nothing() -> None:
    out_of_memory = event(ObservationKind.FAILED, MEMBERS[0], failure="out_of_memory")
    lost = event(ObservationKind.FAILED, MEMBERS[1], failure="lost")
    log = log_of(out_of_memory, lost)
    assert [(trial.architecture, trial.refused) for trial in log.ended] == [(MEMBERS[0], True)]
    assert log.asked == {MEMBERS[0].key, MEMBERS[1].key}


def test_a_trial_at_another_fidelity_is_no_evidence_and_no_duplicate() -> None:
    short = event(
        ObservationKind.FINISHED, MEMBERS[0], fidelity=Fidelity(epochs=1), metrics={"accuracy": 1.0}
    )
    log = log_of(short)
    assert not log.ended
    assert not log.asked
