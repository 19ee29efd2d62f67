"""Which of the ranked pool are trained first: the rank is a belief that results soon outweigh.

Hvarfner et al., "piBO: Augmenting Acquisition Functions with User Beliefs for Bayesian Optimization", ICLR
2022: what an evaluation promises under a surrogate is multiplied by the belief that the optimum is there, to
the power of BELIEF / n at the n-th trial. A good rank decides at first, the results later, so scores that
mislead cost a few trials.

The belief is 1 / rank: where in the ranking the best network stands is anybody's guess, so each order of
magnitude (first, up to tenth, up to hundredth) is as likely as the next. No scale has to be chosen, on which
the scores of one space would fit and those of another would not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from archloom.space import Architecture
from archloom.strategy import ProposeRequest

from archloom_strategies.bayesian.acquisition import Promise, promise
from archloom_strategies.bayesian.beliefs import GaussianSurrogate
from archloom_strategies.bayesian.model import build
from archloom_strategies.bayesian.process import Rows
from archloom_strategies.bayesian.scores import Scores, ScoreView
from archloom_strategies.bayesian.strategy import trained
from archloom_strategies.features import encoder_of, yardstick_of
from archloom_strategies.threads import hold_to_one_core
from archloom_strategies.trials import Log

#: The paper's for searches of 100 trials.
BELIEF = 10.0
#: Trials with results before a surrogate is asked; until then the rank alone decides.
LEAST = 2
#: Networks that are looked at, half of them the best ranked: 0.2 to 0.8 s of a replica that knows none.
LOOKED_AT = 200


def choose(
    request: ProposeRequest[Any, Any], log: Log, ranked: Mapping[int, Architecture], count: int
) -> list[int]:
    """The ranks of the next trials. ``ranked`` has what may be one, by its rank in the whole pool from 1 on,
    in ascending order.
    """
    hold_to_one_core()
    ranks = _looked_at(list(ranked))
    promised = _promise(request, log, [ranked[rank] for rank in ranks]) if len(log.ended) >= LEAST else None
    if promised is None:
        return ranks[:count]
    belief = -BELIEF * np.log(ranks)
    left = np.ones(len(ranks), bool)
    chosen: list[int] = []
    while len(chosen) < count and left.any():
        trial = len(log.trials) + len(chosen) + 1
        worth = np.log(np.maximum(promised.scores(), 1e-300)) + belief / trial
        place = int(np.argmax(np.where(left, worth, -np.inf)))
        left[place] = False
        promised.expect(place)
        chosen.append(ranks[place])
    return chosen


def _looked_at(ranks: list[int]) -> list[int]:
    """The first, and as many at equal steps through the rest: where scores mislead, the best is there."""
    half = LOOKED_AT // 2
    first, rest = ranks[:half], ranks[half:]
    return first + rest[:: math.ceil(len(rest) / half) or 1]


def _promise(request: ProposeRequest[Any, Any], log: Log, ranked: Sequence[Architecture]) -> Promise | None:
    """None while no trial has results. The scores are features: results may speak for one of them, or against
    all, which the rank cannot say.
    """
    encoder, yardstick = encoder_of(request), yardstick_of(request)
    ended, pending = trained(request.spec, log.ended, yardstick), log.pending
    encoded = [encoder(each.architecture) for each in (*ended, *pending)]
    candidates = [encoder(architecture) for architecture in ranked]
    scores = Scores.read(request)
    if scores is not None:
        view = ScoreView(scores, encoder, yardstick, lean=False)  # the belief leans enough
        encoded, candidates, yardstick = view(encoded), view(candidates), view.yardstick
    known, expected = encoded[: len(ended)], encoded[len(ended) :]
    model = build(request.spec, ended, known, expected, yardstick, GaussianSurrogate.fitted)
    if model is None or not candidates:
        return None
    seed = request.random_stream("acquisition").getrandbits(64)
    rows = Rows.of(candidates, yardstick)
    return promise(
        "expected-improvement", model, candidates, rows, np.random.default_rng(seed), len(log.trials)
    )
