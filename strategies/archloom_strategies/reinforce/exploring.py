"""How often each decision is drawn anew, so that none is ever settled for good."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence

from archloom_strategies.reinforce.draws import Answer
from archloom_strategies.reinforce.policy import Layout

#: Proposals in which each kind of decision is drawn anew once, on average.
PROPOSALS = 6.0


def chances(layout: Layout, sequences: Sequence[Sequence[Answer]], exploration: float) -> list[float]:
    """For each slot, the chance that it is drawn anew, in architectures with as many draws as these
    ``sequences`` have.

    A policy that has learned from a few trials alone is soon sure of decisions that it has hardly compared;
    of those it would never learn again. So each kind of decision is drawn anew once in ``PROPOSALS``
    proposals, and one draw in each where there are few kinds, ``exploration`` times as often. Kinds have
    equal shares: the width of a network is drawn anew as often as the operations of all its layers together,
    since it matters about as much.
    """
    counts = [
        Counter(layout.kinds[draw.slot] for draw in layout.draws.drawn(answers) if len(draw.allowed) != 1)
        for answers in sequences
    ]
    kinds = max(1.0, statistics.fmean(len(count) for count in counts)) if counts else 1.0
    share = exploration * max(1.0 / kinds, 1.0 / PROPOSALS)
    found: dict[int, float] = {}
    for kind in set(layout.kinds):
        times = [count[kind] for count in counts if count[kind]]
        found[kind] = min(1.0, share / (statistics.fmean(times) if times else 1.0))
    return [found[kind] for kind in layout.kinds]
