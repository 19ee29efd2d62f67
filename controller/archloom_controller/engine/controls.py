"""Random controls: what the strategy is measured against.

They are drawn as strategy ``random`` draws: from the same distribution, under the same constraints, repeats
among themselves refused. So they and the trials of ``random`` are exchangeable, and the rank test between
them keeps its level.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator

from archloom.v1.experiment_pb2 import Sampling

from archloom_controller.engine.draft import Draft
from archloom_controller.engine.frame import Frame
from archloom_controller.engine.seeds import generator
from archloom_controller.engine.vetting import Vetted, Vetting
from archloom_controller.store import Store

#: Draws of one control before the space counts as drawn empty.
MAX_DRAWS = 1000
_DRAWS = 50

Candidate = tuple[Vetted, str]


async def draw(draft: Draft, vetting: Vetting, store: Store, count: int) -> list[Candidate]:
    """The next ``count`` controls, each with its repeat key; fewer when the space has no more.

    The k-th control is the first of its own stream of draws that keeps the constraints and repeats no
    control before it, so it depends on the experiment's seed and on the earlier controls alone.
    """
    frame, first = draft.frame, draft.counters["control"]
    streams = [generator(frame.spec.seed, "control", first + index) for index in range(count)]
    # Most streams need their first draw only: those are looked up for all at once.
    heads = await asyncio.to_thread(
        lambda: [next(_candidates(frame, vetting, stream, _DRAWS), None) for stream in streams]
    )
    taken = draft.repeat_keys()
    taken.update(await store.trials.repeated([head[1] for head in heads if head is not None]))
    drawn: list[Candidate] = []
    for stream, head in zip(streams, heads, strict=True):
        found: Candidate | None = head
        if head is None or head[1] in taken:
            found = await _search_on(frame, vetting, store, stream, taken)
        if found is None:
            break
        drawn.append(found)
        taken.add(found[1])
    return drawn


async def _search_on(
    frame: Frame, vetting: Vetting, store: Store, stream: random.Random, taken: set[str]
) -> Candidate | None:
    """The first further draw of a stream that is new; None after MAX_DRAWS."""
    for _ in range(MAX_DRAWS // _DRAWS):
        candidates = await asyncio.to_thread(lambda: list(_candidates(frame, vetting, stream, _DRAWS)))
        known = {*taken, *await store.trials.repeated([key for _, key in candidates])}
        found = next((each for each in candidates if each[1] not in known), None)
        if found is not None:
            return found
    return None


def _candidates(frame: Frame, vetting: Vetting, stream: random.Random, count: int) -> Iterator[Candidate]:
    """Of the next draws those that keep the constraints, in order; each is drawn when it is asked for."""
    by_architecture = frame.spec.control.sampling == Sampling.SAMPLING_UNIFORM_ARCHITECTURES
    for _ in range(count):
        drawn = frame.space.sample(stream, "architectures" if by_architecture else "decisions")
        vetted = vetting.vet_drawn(drawn)
        if not vetted.refusal:
            yield vetted, frame.repeat_key("control", vetted.key, frame.full_fidelity)
