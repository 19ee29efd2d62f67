"""What is proposed: members of the space, as many as wanted at most, nothing twice, and the end when there is
one.
"""

from __future__ import annotations

from archloom.strategy.values import Fidelity
from archloom.testing.kit import Broken, Kit, Requirement, architectures_of, rough
from archloom.testing.rehearsal import Rehearsal, network_of
from archloom.testing.spaces import SPACES, space_named

BATCHES = (1, 2, 7, 64)


def in_the_space(kit: Kit) -> None:
    for space in SPACES:
        if kit.capabilities.discrete_only and space_named(space).continuous:
            continue
        result = kit.search(space, ending=rough)
        for architecture in result.proposed:
            if faults := result.spec.space.check(architecture):
                raise Broken(f"{space}: a proposal is not in the space: {faults[0]}")


def answers_repeat_nothing(kit: Kit) -> None:
    spec = kit.spec()
    session = kit.session(spec, name="repeats")
    for _ in range(3):
        answer = session.ask(16)
        keys = [
            (each.key, str(proposal.fidelity))
            for each, proposal in zip(architectures_of(answer), answer.proposals.proposals, strict=False)
        ]
        if len(keys) > len(set(keys)):
            raise Broken(f"step {answer.step}: one answer holds an architecture twice")
        for ordinal, proposal in enumerate(answer.proposals.proposals):
            session.refuse(ordinal, proposal, "it was told to")


def networks_only_once(kit: Kit) -> None:
    for space in (*SPACES, "twins"):
        if kit.capabilities.discrete_only and space_named(space).continuous:
            continue
        result = kit.search("twins", trials=40) if space == "twins" else kit.search(space, ending=rough)
        _no_network_twice(kit, space, result)
    if not kit.repeats_networks and not result.exhausted:
        raise Broken("twins: all of its networks were asked, and it does not say that it has no more")


def _no_network_twice(kit: Kit, space: str, result: Rehearsal) -> None:
    seen: dict[tuple[str, Fidelity], int] = {}
    for asked in result.asked:
        network = asked.architecture.key
        if not kit.repeats_networks:
            network = network_of(result.spec.space, asked.architecture)
        first = seen.setdefault((network, asked.fidelity), asked.trial)
        if first != asked.trial:
            raise Broken(f"{space}: trial {asked.trial} is the network and the recipe of trial {first}")


def any_number_may_be_asked(kit: Kit) -> None:
    for count in BATCHES:
        session = kit.session(kit.spec("nasbench201", trials=256), name=f"batches-{count}")
        for _ in range(2):
            answer = session.ask(count)
            found = len(answer.proposals.proposals)
            if found > count:
                raise Broken(f"{found} proposals, but {count} were wanted")
            for ordinal, proposal in enumerate(answer.proposals.proposals):
                session.finish(session.accept(ordinal, proposal), {"val_accuracy": 0.1 + ordinal / 100})
        if not any(answer.proposals.proposals for _, answer in session.record):
            raise Broken(f"{count} proposals were wanted, twice, and none came")


def asked_for_nothing_it_listens(kit: Kit) -> None:
    session = kit.session(kit.spec(), name="listens")
    if session.ask(0).proposals.proposals:
        raise Broken("0 proposals were wanted in the first step, and some came")
    for ordinal, proposal in enumerate(session.ask(3).proposals.proposals):
        session.finish(session.accept(ordinal, proposal), {"val_accuracy": 0.5})
    if session.ask(0).proposals.proposals:
        raise Broken("0 proposals were wanted, and some came")


def a_small_space_ends(kit: Kit) -> None:
    # Of each architecture several trials where it works with fidelities.
    result = kit.search("tiny", trials=64)
    size = result.spec.space.size()
    found = len({each.key for each in result.trials})
    if found < size:
        raise Broken(f"it is over ({result.exhausted}) after {found} of {size} architectures")
    if not result.exhausted:
        raise Broken(f"all {size} architectures were tried, and it does not say that there is no more")


REQUIREMENTS = (
    Requirement(
        "in-the-space",
        "Each proposal decides what is reachable, within its domain, and keeps the space's constraints",
        "Make proposals with sample, mutate, cross or neighbors of the space, or check them.",
        in_the_space,
    ),
    Requirement(
        "one-answer",
        "One answer holds no architecture twice",
        "Compare what you choose with what you chose for the same answer.",
        answers_repeat_nothing,
    ),
    Requirement(
        "networks-once",
        "No network is asked twice, however it is written",
        "Name candidates by the hash of their graph and their recipe, remember what was asked (the history "
        "has it), and leave known ones out.",
        networks_only_once,
    ),
    Requirement(
        "batches",
        "Any number from 1 to 64 may be asked, and at most so many come",
        "Stop at request.count; answer fewer when you have no more.",
        any_number_may_be_asked,
    ),
    Requirement(
        "listens",
        "Asked for 0 proposals it only listens",
        "Take the observations into the state, and propose nothing when count is 0.",
        asked_for_nothing_it_listens,
    ),
    Requirement(
        "small-space",
        "A small space is tried to its end, and the end is said",
        "Answer exhausted when every architecture was asked, and not before.",
        a_small_space_ends,
    ),
)
