"""Training-free scores as features: what the log's proxy trials say of an architecture, or let expect.

Each score is turned into its normal score by rank, since scores live on scales that cannot be compared
(ranks: Abdelfattah et al., "Zero-Cost Proxies for Lightweight NAS", ICLR 2021). The surrogate learns from
trials which of them to believe (White et al., "How Powerful are Performance Predictors in Neural Architecture
Search?", NeurIPS 2021, who find that such features help most where trials are few).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from archloom.space import Architecture
from archloom.strategy import ObservationKind, ProposeRequest
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import rankdata

from archloom_strategies.bayesian.process import Kernel, Process, Rows, representative
from archloom_strategies.features import SCORES, Encoded, Encoder, Yardstick

Matrix = NDArray[np.float64]

#: Scored architectures from which on scores count.
ENOUGH = 16
#: Scored architectures from which the scores of others are predicted, and that are candidates.
TEACHERS, SUGGESTED = 300, 200
#: Deviations of the objective that one deviation of all scores together is worth before anything is known:
#: about their rank correlation on most published benchmarks.
LEAN = 0.5
#: Of the prediction of scores: the noise's share.
NOISE = 0.05


@dataclass(frozen=True)
class Scores:
    """``known``: a row of normal scores for each architecture by its key, in the order of the log."""

    architectures: Sequence[Architecture]
    known: Matrix
    places: Mapping[str, int]

    @staticmethod
    def read(request: ProposeRequest[Any, Any]) -> Scores | None:
        """Needs ``capabilities.history`` and ``proxies``. None while there are too few, and with several
        objectives: scores order good networks, and mislead at the cheap end of a front, where they hid whole
        stretches of it.
        """
        if len(request.spec.objectives) > 1:
            return None
        found: dict[str, tuple[Architecture, dict[str, float]]] = {}
        for event in (*request.history, *request.observations):
            if not event.fidelity.proxies or event.kind not in (
                ObservationKind.FINISHED,
                ObservationKind.INFEASIBLE,
            ):
                continue
            values = {name: value for name, value in event.metrics.items() if math.isfinite(value)}
            if values:
                found.setdefault(event.architecture.key, (event.architecture, {}))[1].update(values)
        counts = Counter(name for _, values in found.values() for name in values)
        names = sorted(name for name, count in counts.items() if 2 * count >= len(found))
        if len(found) < ENOUGH or not names:
            return None
        columns = np.array([[values.get(name, np.nan) for name in names] for _, values in found.values()])
        return Scores(
            [architecture for architecture, _ in found.values()],
            np.stack([_normal(column) for column in columns.T], 1),
            {key: place for place, key in enumerate(found)},
        )

    def suggested(self) -> list[Architecture]:
        """Those that score highest on the whole."""
        best = np.argsort(-self.known.mean(1), kind="stable")[:SUGGESTED]
        return [self.architectures[place] for place in best.tolist()]


class ScoreView:
    """Adds the scores to encoded architectures: their own, or those that a Gaussian process over the scored
    ones predicts.
    """

    def __init__(self, scores: Scores, encoder: Encoder, yardstick: Yardstick, lean: bool) -> None:
        self._scores = scores
        self._plain = yardstick
        width = scores.known.shape[1]
        self.yardstick = replace(
            yardstick,
            scales={**yardstick.scales, SCORES: 2.0 * width},
            centers={**yardstick.centers, SCORES: (0.0,) * width},
            lines=(SCORES,),
            lean=LEAN if lean else 0.0,
        )
        some = representative(scores.known.mean(1), TEACHERS)
        rows = Rows.of(encoder.many([scores.architectures[place] for place in some.tolist()]), self._plain)
        kernel = Kernel(tuple(1.0 / len(rows.blocks) for _ in rows.blocks), NOISE)
        self._process = Process.of(kernel, rows, scores.known[some], 1.0)
        self._viewed: dict[str, Encoded] = {}

    def __call__(self, found: Sequence[Encoded]) -> list[Encoded]:
        new = [each for each in found if each.architecture.key not in self._viewed]
        if new:
            said, _ = self._process.posterior(Rows.of(new, self._plain))
            for row, each in zip(said, new, strict=True):
                key = each.architecture.key
                place = self._scores.places.get(key)
                scores = row if place is None else self._scores.known[place]
                self._viewed[key] = replace(each, rows=(*each.rows, scores.astype(np.float32)))
        return [self._viewed[each.architecture.key] for each in found]


def _normal(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Normal scores; 0 where there is no value."""
    there = ~np.isnan(values)
    found = np.zeros(len(values))
    found[there] = ndtri((rankdata(values[there]) - 0.5) / there.sum())
    return found
