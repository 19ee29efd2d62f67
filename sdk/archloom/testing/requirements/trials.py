"""What becomes of trials: however they end, the search goes on."""

from __future__ import annotations

from archloom.testing.kit import ACCURACY, Broken, Idle, Kit, Requirement, rough
from archloom.testing.rehearsal import Ending, network_of, rehearse
from archloom.testing.spaces import SPACES, space_named
from archloom.v1 import strategy_pb2


def _fail(trial: int) -> Ending:
    return "fail"


def _cancel(trial: int) -> Ending:
    return "cancel"


def _infeasible(trial: int) -> Ending:
    return "infeasible"


def _nan(trial: int) -> Ending:
    return "nan"


def _infinite(trial: int) -> Ending:
    return "infinite"


def _missing(trial: int) -> Ending:
    return "missing"


def _every_second(proposal: int) -> bool:
    return proposal % 2 == 0


def goes_on_after_failures(kit: Kit) -> None:
    for ending in (_fail, _cancel, _infeasible):
        kit.must_end("tree", trials=min(kit.trials, 16), ending=ending)
    for space in SPACES:
        if not (kit.capabilities.discrete_only and space_named(space).continuous):
            kit.must_end(space, ending=rough)


def goes_on_without_numbers(kit: Kit) -> None:
    for ending in (_nan, _infinite, _missing):
        kit.must_end("tree", trials=min(kit.trials, 16), ending=ending)


def goes_on_with_equal_results(kit: Kit) -> None:
    kit.must_end("tree", trials=min(kit.trials, 24), fixed_metrics={ACCURACY.metric: 0.1})


def goes_on_after_refusals(kit: Kit) -> None:
    kit.must_end("nasbench201", trials=min(kit.trials, 24), refusing=_every_second)


def takes_users_trials(kit: Kit) -> None:
    source = kit.search("nasbench201", ending=rough)
    users = source.trials[:5]
    spec = kit.spec("nasbench201")
    session = kit.session(spec, seed=9, name="users")
    for number, architecture in enumerate(users):
        trial = session.enqueue(strategy_pb2.Proposal(architecture=architecture.to_proto()))
        match number:
            case 0:
                session.fail(trial)
            case 1:
                session.finish(trial, {ACCURACY.metric: 0.3}, feasible=False)
            case _:
                session.finish(trial, {ACCURACY.metric: 0.7})
    session.refuse_users(strategy_pb2.Proposal(architecture=users[0].to_proto()), "an equal trial exists")
    length = min(kit.trials, 16)
    result = rehearse(session, spec, trials=length, parallel=4)
    _ended(result.ended, length, result.exhausted)
    if kit.repeats_networks:
        return
    known = {network_of(spec.space, each) for each in users}
    if any(
        network_of(spec.space, each.architecture) in known and not each.fidelity.proxies
        for each in result.asked
    ):
        raise Broken("it asks for an architecture that a user brought")


def takes_users_trials_midway(kit: Kit) -> None:
    spec = kit.spec()
    session = kit.session(spec, seed=10, name="midway")
    answer = session.ask(2)
    own = [session.accept(ordinal, each) for ordinal, each in enumerate(answer.proposals.proposals)]
    users = [
        session.enqueue(strategy_pb2.Proposal(architecture=each.to_proto()))
        for each in kit.search(ending=rough).trials[:4]
    ]
    session.ask(2)
    for trial in (*users[::-1], *own):
        session.finish(trial, {ACCURACY.metric: 0.4})
    length = min(kit.trials, 8)
    result = rehearse(session, spec, trials=length, parallel=2)
    _ended(result.ended, length, result.exhausted)


def lives_with_scores(kit: Kit) -> None:
    length = min(kit.trials, 24)
    kit.must_end("nasbench201", trials=length)
    given = kit.must_end("nasbench201", trials=length, scores=True)
    if not any(each.fidelity.proxies for each in given.asked):
        raise Idle("it asks for no training-free scores")
    if not kit.capabilities.proxies:
        raise Broken("it asks for training-free scores, but `proxies` is not said")


def stops_trials_that_run(kit: Kit) -> None:
    result = kit.search("nasbench201", ending=rough)
    if not result.stopped:
        raise Idle("it stops no trials early")
    made = {each.trial for each in result.asked}
    for step, number in result.stopped:
        if number not in made:
            raise Broken(f"step {step}: it wants trial {number} to end, which there is not")


def _ended(ended: int, wanted: int, exhausted: str) -> None:
    if ended < wanted:
        raise Broken(f"after {ended} of {wanted} trials it had no more: {exhausted}")


REQUIREMENTS = (
    Requirement(
        "failures",
        "It goes on when trials fail, are cancelled, or break a limit",
        "Expect observations of every kind: a failed or cancelled trial has no metrics, and is no reason to "
        "wait.",
        goes_on_after_failures,
    ),
    Requirement(
        "no-numbers",
        "It goes on when metrics are missing, infinite or no numbers",
        "Leave trials out whose scores are not finite, before you compare, fit or write diagnostics.",
        goes_on_without_numbers,
    ),
    Requirement(
        "equal-results",
        "It goes on when all results are equal",
        "Divide by no spread that may be 0.",
        goes_on_with_equal_results,
    ),
    Requirement(
        "refusals",
        "It goes on when proposals are refused",
        "Take a refused proposal as one that is not under way; propose another.",
        goes_on_after_refusals,
    ),
    Requirement(
        "users-trials",
        "Users' own trials are learnt from, and not asked again",
        "Take observations whose step is 0 as any others, and remember their architectures.",
        takes_users_trials,
    ),
    Requirement(
        "users-midway",
        "Users may bring trials while others run, and results come in any order",
        "Do not count on results to come in the order of proposals, nor for your proposals alone.",
        takes_users_trials_midway,
    ),
    Requirement(
        "scores",
        "Training-free scores may be given, missing, or refused",
        "Set `proxies`, go on when proposals of scores are refused, and take a missing score as unknown.",
        lives_with_scores,
    ),
    Requirement(
        "stops",
        "Only trials that there are are stopped early",
        "Name in `stop` the numbers that observations gave you.",
        stops_trials_that_run,
    ),
)
