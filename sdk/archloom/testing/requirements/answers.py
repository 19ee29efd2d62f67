"""That an answer is a function of its request: from any replica, after any step, in any process."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from archloom.errors import ArchloomError
from archloom.strategy.base import Strategy
from archloom.testing.kit import Broken, Idle, Kit, Requirement, bytes_of, rough
from archloom.testing.probe import digest_of_answers
from archloom.testing.session import Session
from archloom.testing.spaces import SPACES, space_named
from archloom.v1 import strategy_pb2

MAX_STATE_BYTES = 3 * 1024 * 1024
FOREIGN_LAYOUT = 1_000_000


def same_request_same_bytes(kit: Kit) -> None:
    for space in _spaces(kit):
        session = kit.search(space, ending=rough).session
        for request, answer in session.record:
            if bytes_of(session.exchange(request)) != bytes_of(answer):
                raise Broken(f"{space}, step {request.step}: the same request got another answer")


def cold_answers_as_warm(kit: Kit) -> None:
    for space in _spaces(kit):
        session = kit.search(space, ending=rough).session
        for request, answer in session.record:
            if bytes_of(kit.cold(session, request)) != bytes_of(answer):
                raise Broken(f"{space}, step {request.step}: a replica that starts here answers otherwise")


def replays_from_any_step(kit: Kit) -> None:
    session = kit.search(ending=rough).session
    steps = len(session.record)
    for begin in sorted({1, steps // 3, 2 * steps // 3} - {0}):
        replica = kit.replica() if kit.replica else kit.plugin
        for request, answer in session.record[begin - 1 :]:
            renamed = strategy_pb2.ProposeRequest()
            renamed.CopyFrom(request)
            renamed.experiment_uid = f"{request.experiment_uid[:40]}-from-{begin}"
            if bytes_of(session.exchange(renamed, replica)) != bytes_of(answer):
                raise Broken(f"a replay from step {begin} on differs at step {request.step}")


def experiments_apart(kit: Kit) -> None:
    spec = kit.spec()
    counts = [request.count for request, _ in kit.search(ending=rough).session.record[:10]]
    turns = [kit.session(spec, seed, f"turn-{seed}") for seed in (7, 8)]
    for count in counts:
        for session in turns:
            session.ask(count)
    alone = Session(kit.replica() if kit.replica else kit.plugin, spec, kit.settings, seed=8, name="turn-8")
    for request, answer in turns[1].record:
        if bytes_of(alone.ask(request.count)) != bytes_of(answer):
            raise Broken(f"step {request.step} is another one when two experiments take turns on a replica")


def state_is_kept_whole(kit: Kit) -> None:
    found = False
    for space in _spaces(kit):
        for _, answer in kit.search(space, ending=rough).session.record:
            if not answer.HasField("state"):
                continue
            found, state = True, answer.state
            if len(state.data) > MAX_STATE_BYTES:
                raise Broken(f"{space}, step {answer.step}: the state is {len(state.data):,} bytes")
            if hashlib.sha256(state.data).hexdigest() != state.digest:
                raise Broken(f"{space}, step {answer.step}: its digest is not the sha256 of its data")
            if kit.strategy is not None:
                again = kit.strategy.dump_state(kit.strategy.load_state(state.version, state.data))
                if again != state.data:
                    raise Broken(f"{space}, step {answer.step}: loaded and dumped again, it is another one")
    if not found:
        raise Idle("it keeps no state")


def foreign_state_is_refused(kit: Kit) -> None:
    session = kit.search(ending=rough).session
    for request, _ in session.record:
        if not request.state.data:
            continue
        foreign = strategy_pb2.ProposeRequest()
        foreign.CopyFrom(request)
        foreign.state.version = FOREIGN_LAYOUT
        try:
            with _unlogged():
                kit.cold(session, foreign, "foreign")
        except ArchloomError:
            return
        raise Broken(f"a state of layout {FOREIGN_LAYOUT:,} was taken for one of its own")
    raise Idle("it keeps no state")


@contextmanager
def _unlogged() -> Iterator[None]:
    """Without the runtime's traceback of a failure that is wanted."""
    log = logging.getLogger("archloom.strategy")
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before


def another_seed_another_search(kit: Kit) -> None:
    length = min(10, kit.trials)
    one, other = (kit.search("nasbench201", seed=seed, trials=length).trials for seed in (1, 2))
    if [each.key for each in one] == [each.key for each in other]:
        raise Broken("two seeds gave one search")


def hash_order_does_not_show(kit: Kit) -> None:
    if kit.strategy is None:
        # Its process is its own: what can be seen from here is that its answers repeat.
        digests = {digest_of_answers(kit.plugin, kit.settings, kit.trials) for _ in range(2)}
    else:
        digests = {_digest_in_process(kit.strategy, kit.settings, kit.trials, seed) for seed in (1, 2)}
    if len(digests) > 1:
        raise Broken("two processes whose hashes are seeded otherwise gave two searches")


def _spaces(kit: Kit) -> list[str]:
    """Those of the long searches that the strategy takes."""
    discrete = kit.capabilities.discrete_only
    return [space for space in SPACES if not (discrete and space_named(space).continuous)]


def _digest_in_process(
    strategy: Strategy[Any, Any], settings: Mapping[str, Any], trials: int, hash_seed: int
) -> str:
    """The digest of a whole search's answers, made by a new process whose hashes are seeded with
    ``hash_seed``.
    """
    import inspect

    kind = type(strategy)
    command = [sys.executable, "-m", "archloom.testing.probe", str(Path(inspect.getfile(kind)).resolve())]
    run = subprocess.run(
        [*command, kind.__qualname__, json.dumps(dict(settings)), str(trials)],
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    if run.returncode:
        last = run.stderr.strip().splitlines()[-1:] or ["no output"]
        raise Broken(f"a process of its own could not run it: {last[0]}")
    return run.stdout.strip()


_PURE = (
    "Let nothing but the request decide: what the next step needs goes into the state, and randomness comes "
    "from request.rng."
)

REQUIREMENTS = (
    Requirement(
        "same-request-same-bytes",
        "The same request gets the same answer, byte for byte",
        _PURE,
        same_request_same_bytes,
    ),
    Requirement(
        "cold-as-warm",
        "A replica that starts at any step answers as the one that was there from the beginning",
        "Keep nothing in the process that the answer depends on; what you keep for speed must be made again "
        "from the request.",
        cold_answers_as_warm,
    ),
    Requirement(
        "replay",
        "A search is replayed from any step on, step by step",
        "Name everything that a replica keeps by what it was made from; an experiment may come to it midway.",
        replays_from_any_step,
    ),
    Requirement(
        "experiments-apart",
        "Experiments that take turns on one replica do not touch each other",
        "Keep nothing across calls under a name that two experiments share.",
        experiments_apart,
    ),
    Requirement(
        "state",
        "The state is at most 3 MiB, named by its sha256, and the same when loaded and dumped again",
        "Write equal states as equal bytes (sorted keys), load all of what was dumped, and leave the log to "
        "the history.",
        state_is_kept_whole,
    ),
    Requirement(
        "foreign-state",
        "A state of an unknown layout is refused, not misread",
        "Look at the state's version before its bytes, and fail for one that you cannot read.",
        foreign_state_is_refused,
    ),
    Requirement("seeds", "Another seed gives another search", _PURE, another_seed_another_search),
    Requirement(
        "hash-order",
        "The order of hashing does not show",
        "Do not walk sets and do not use hash(): sort, or keep lists and dicts in the order of insertion.",
        hash_order_does_not_show,
    ),
)
