"""Which arm is asked next: Thompson sampling with a memory that fades.

Thompson, "On the Likelihood that One Unknown Probability Exceeds Another in View of the Evidence of Two
Samples", Biometrika 1933; with normal rewards as by Agrawal and Goyal, "Further Optimal Regret Bounds for
Thompson Sampling", AISTATS 2013; discounted, for rewards that change, as by Raj and Kalyani, "Taming
Non-stationary Bandits", 2017. A draw, unlike an upper bound, gives a batch to several arms, and waits for no
pending trial.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random

from archloom_strategies.portfolio.credit import Outcome, utilities


class Bandit:
    """The beliefs about ``arms`` arms after ``outcomes``, oldest first. A result counts half once ``memory``
    trials ended after it: what an arm did in the beginning, when everything was new, says little of what it
    will do, and one that has come to its wits' end is left soon.

    An arm's mean worth is believed to be normal: as many observations as it has pulls, and one more at the
    mean of all. Their spread is that of ranks: the logarithm of a random one has a deviation of about 1,
    which is 1 / log n of the worth. So equals are drawn equally often.
    """

    def __init__(self, arms: int, outcomes: Sequence[Outcome], memory: float) -> None:
        self.pulls = [0.0] * arms
        """Of each arm, faded; a part of a trial is a part of a pull."""
        self._won = [0.0] * arms
        age = 0.0
        for outcome, worth in zip(reversed(outcomes), reversed(utilities(outcomes)), strict=True):
            weight = outcome.weight * 0.5 ** (age / memory)
            self.pulls[outcome.arm] += weight
            self._won[outcome.arm] += weight * worth
            age += outcome.weight
        pulls = math.fsum(self.pulls)
        self._mean = math.fsum(self._won) / pulls if pulls else 0.0
        self._spread = 1.0 / math.log(max(3, len(outcomes)))

    def credit(self, arm: int) -> float:
        """The mean worth of its trials, drawn a little towards that of all."""
        return (self._won[arm] + self._mean) / (self.pulls[arm] + 1.0)

    def draw(self, arm: int, rng: Random) -> float:
        return rng.gauss(self.credit(arm), self._spread / math.sqrt(self.pulls[arm] + 1.0))
