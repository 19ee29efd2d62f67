"""Which arm is asked next: Thompson sampling over a sliding window.

Thompson, "On the Likelihood that One Unknown Probability Exceeds Another in View of the Evidence of Two
Samples", Biometrika 1933; with normal rewards as by Agrawal and Goyal, "Further Optimal Regret Bounds for
Thompson Sampling", AISTATS 2013; the window, for rewards that change, as by Garivier and Moulines, ALT 2011.
A draw, unlike an upper bound, gives a batch to several arms, and waits for no pending trial.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from random import Random

from archloom_strategies.portfolio.credit import Outcome, utilities


class Bandit:
    """The beliefs about ``arms`` arms after ``outcomes``, the newest ones of the search.

    An arm's mean worth is believed to be normal: as many observations as it has pulls, and one more at the
    mean of all. Their spread is that of all outcomes, which ranks make nearly the same in every search.
    """

    def __init__(self, arms: int, outcomes: Sequence[Outcome]) -> None:
        self.pulls = [0.0] * arms
        self._won = [0.0] * arms
        worths = utilities(outcomes)
        self._mean = statistics.fmean(worths) if worths else 0.0
        self._spread = statistics.pstdev(worths) if worths else 1.0
        for outcome, worth in zip(outcomes, worths, strict=True):
            if outcome.arm >= 0:
                self.pulls[outcome.arm] += outcome.weight
                self._won[outcome.arm] += outcome.weight * worth

    def credit(self, arm: int) -> float:
        """The mean worth of its trials, drawn a little towards that of all."""
        return (self._won[arm] + self._mean) / (self.pulls[arm] + 1.0)

    def draw(self, arm: int, rng: Random) -> float:
        return rng.gauss(self.credit(arm), self._spread / math.sqrt(self.pulls[arm] + 1.0))
