"""What a trial is worth: objectives, targets and limits in one number."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from random import Random

from archloom.strategy import Comparison, Goal, SearchSpec

from archloom_strategies.reinforce.memory import Trial
from archloom_strategies.reinforce.settings import ReinforceSettings

#: Powers of (value / bound) within and beyond it (Tan et al. 2019).
POWERS = {"hard": (0.0, -1.0), "soft": (-0.07, -0.07)}

Preference = tuple[float, ...]


class Rewards:
    """Rewards of the trials in memory, under any preference among the objectives.

    With one objective a reward is its score. Targets and limits multiply it as in MnasNet (Tan et al., CVPR
    2019, equation 2): score * (value / target) ** power; in logarithms, since only differences count, and
    with the score over its spread in place of its logarithm where it is not above 0 for all trials.

    Several objectives are brought to [0, 1] by their ranks among the trials in memory, since a few very bad
    ones would press all others together, and combined by the augmented Chebyshev scalarisation (Knowles,
    "ParEGO", 2006). A trial without metrics, or with a number that is none, is worth
    less than all others; under strict limits one that breaks them is worth less than all that do not, and the
    less the further it misses (Deb 2000).
    """

    def __init__(self, spec: SearchSpec, settings: ReinforceSettings, trials: Sequence[Trial]) -> None:
        self._spec = spec
        self._settings = settings
        self._trials = trials
        self._free = free_objectives(spec, settings)
        self._columns = [self._column(metric) for metric in self._free]
        self._factors = [self._factor(trial) for trial in trials]

    def _score(self, metric: str, trial: Trial) -> float:
        goal = next(each for each in self._spec.objectives if each.metric == metric)
        return goal.score(trial.metrics.get(metric, math.nan))

    def _column(self, metric: str) -> list[float]:
        """The logarithm of MnasNet's score, or what stands for it."""
        goal = next(each for each in self._spec.objectives if each.metric == metric).goal
        values = [trial.metrics.get(metric, math.nan) for trial in self._trials]
        known = [value for value in values if math.isfinite(value)]
        sign = 1.0 if goal is Goal.MAXIMIZE else -1.0
        if known and min(known) > 0:
            return [sign * math.log(value) if math.isfinite(value) else math.nan for value in values]
        spread = statistics.pstdev(known) if len(known) > 1 else 0.0
        return [sign * value / (spread or 1.0) if math.isfinite(value) else math.nan for value in values]

    def _factor(self, trial: Trial) -> float:
        """The logarithm of what targets and limits multiply the reward by; NaN where one was not reported."""
        settings, total = self._settings, 0.0
        for metric, target in settings.targets.items():
            over = _over(trial.metrics.get(metric, math.nan), target)
            goal = next(each for each in self._spec.objectives if each.metric == metric).goal
            total += settings.target_power * (over if goal is Goal.MINIMIZE else -over)
        if settings.limits == "strict":
            return total
        within, beyond = POWERS[settings.limits]
        for limit in self._spec.constraints:
            value = trial.metrics.get(limit.metric, math.nan)
            if not math.isfinite(value):
                continue  # not reported: not held against it, as everywhere
            over = _over(value, limit.bound)
            over = over if limit.comparison is Comparison.AT_MOST else -over
            total += (beyond if over > 0 else within) * over
        return total

    def under(self, preference: Preference) -> list[float]:
        """Larger is better; minus infinity for trials that say nothing but that they failed."""
        columns = self._columns
        if len(columns) > 1:
            unit = [_unit(column) for column in columns]
            rows = list(zip(*unit, strict=True))
            worth = [_chebyshev(row, preference) for row in rows]
        else:
            worth = list(columns[0])
        rewards = []
        for trial, value, factor in zip(self._trials, worth, self._factors, strict=True):
            reward = value + factor
            rewards.append(-math.inf if trial.failed or not math.isfinite(reward) else reward)
        return self._ordered(rewards)

    def _barred(self, trial: Trial) -> bool:
        """Whether it ranks below all that are feasible: under strict limits, or if no metric says why it is
        infeasible, so that there is nothing to multiply by.
        """
        if self._settings.limits == "strict":
            return trial.infeasible or trial.violation > 0
        return trial.infeasible and trial.violation == 0

    def _ordered(self, rewards: Sequence[float]) -> list[float]:
        """The rewards, with those of barred trials below all others: the lower, the more is broken."""
        barred = [self._barred(trial) for trial in self._trials]
        if not any(barred):
            return list(rewards)
        good = [
            reward for reward, bar in zip(rewards, barred, strict=True) if not bar and math.isfinite(reward)
        ]
        floor = min(good, default=0.0)
        spread = max(good, default=0.0) - floor or 1.0
        return [
            floor - spread * (1.0 + trial.violation / (1.0 + trial.violation))
            if bar and not trial.failed
            else reward
            for reward, bar, trial in zip(rewards, barred, self._trials, strict=True)
        ]


def free_objectives(spec: SearchSpec, settings: ReinforceSettings) -> list[str]:
    """Those that are to be as good as can be."""
    return [goal.metric for goal in spec.objectives if goal.metric not in settings.targets]


def drawn_preference(spec: SearchSpec, settings: ReinforceSettings, rng: Random) -> Preference:
    """Weights of the free objectives, which add up to 1: as set, or uniform on the simplex."""
    free = free_objectives(spec, settings)
    if settings.weights or len(free) == 1:
        raw = [settings.weights.get(metric, 0.0) for metric in free] if settings.weights else [1.0]
    else:
        raw = [rng.expovariate(1.0) for _ in free]
    whole = math.fsum(raw)
    return tuple(each / whole for each in raw)


def ranked(rewards: Sequence[float]) -> list[float]:
    """Centred ranks from -1 to 1; equal rewards have the mean of their places (Hansen's and Wierstra's
    fitness shaping: "Natural Evolution Strategies", JMLR 2014).
    """
    places: dict[float, list[int]] = {}
    for place, reward in enumerate(sorted(rewards)):
        places.setdefault(reward, []).append(place)
    count = len(rewards)
    return [(2.0 * statistics.fmean(places[reward]) + 1.0) / count - 1.0 for reward in rewards]


def _over(value: float, bound: float) -> float:
    """The logarithm of value / bound; of two that are not above 0, by how much of the bound it is beyond."""
    if value > 0 and bound > 0:
        return math.log(value / bound)
    return (value - bound) / (abs(bound) or 1.0)


def _unit(column: Sequence[float]) -> list[float]:
    """Ranks from 0 to 1 among what is known."""
    known = [value for value in column if math.isfinite(value)]
    rank = dict(zip(known, ranked(known), strict=True))
    return [(rank[value] + 1.0) / 2.0 if math.isfinite(value) else math.nan for value in column]


def _chebyshev(row: Sequence[float], preference: Preference) -> float:
    losses = [weight * (1.0 - value) for weight, value in zip(preference, row, strict=True)]
    if any(not math.isfinite(loss) for loss in losses):
        return -math.inf
    return -max(losses) - 0.05 * math.fsum(losses)


def usefulness(
    spec: SearchSpec,
    settings: ReinforceSettings,
    trials: Sequence[Trial],
    preferences: Sequence[Preference],
) -> list[float]:
    """The best rank of each trial under any of the preferences."""
    rewards = Rewards(spec, settings, trials)
    ranks = [ranked(rewards.under(preference)) for preference in preferences]
    return [max(column) for column in zip(*ranks, strict=True)]
