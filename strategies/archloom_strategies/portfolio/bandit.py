"""Which arm is asked next: Thompson sampling over a sliding window.

Thompson, "On the Likelihood that One Unknown Probability Exceeds Another in View of the Evidence of Two
Samples", Biometrika 1933; rewards between 0 and 1 as parts of successes as by Agrawal and Goyal, COLT 2012;
the window for rewards that change as by Garivier and Moulines, ALT 2011, and Trovo et al., JAIR 2020. A
draw, unlike an upper bound, gives a batch to several arms, and waits for no pending trial.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from archloom_strategies.portfolio.credit import Outcome, utilities


class Bandit:
    """The beliefs about ``arms`` arms after ``outcomes``, the newest ones of the search."""

    def __init__(self, arms: int, outcomes: Sequence[Outcome]) -> None:
        self.pulls = [0.0] * arms
        self._won = [0.0] * arms
        for outcome, worth in zip(outcomes, utilities(outcomes), strict=True):
            if outcome.arm >= 0:
                self.pulls[outcome.arm] += outcome.weight
                self._won[outcome.arm] += outcome.weight * worth

    def credit(self, arm: int) -> float:
        """The mean worth of its trials, drawn towards one half."""
        return (self._won[arm] + 1.0) / (self.pulls[arm] + 2.0)

    def draw(self, arm: int, rng: Random) -> float:
        return rng.betavariate(self._won[arm] + 1.0, self.pulls[arm] - self._won[arm] + 1.0)
