"""Gradient steps on the policy: PPO or REINFORCE on the last trials, imitation of the best, and entropy."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import torch
from archloom.strategy import SearchSpec

from archloom_strategies.reinforce.memory import HUNDREDTHS, Trial
from archloom_strategies.reinforce.policy import Batch, Policy
from archloom_strategies.reinforce.rewards import Preference, Rewards, ranked
from archloom_strategies.reinforce.settings import ReinforceSettings

#: Of the moving average, for one trial.
DECAY = 0.9
#: Standard deviations; a reward beyond counts as so many.
CLIPPED = 3.0
#: Gradient steps of one answer, however many trials it was told.
MOST_STEPS = 64
#: The most that one step moves a number.
LONGEST = 1.0


class Learner:
    """Ascends, for preferences p,

        mean over the last trials of sum over draws of the surrogate
            + replay * weighted mean over the best trials of log pi(trial | p)
            + entropy * mean entropy of the draws that the best and the last made

    - PPO (Schulman et al. 2017): min(ratio * advantage, clipped ratio * advantage), each draw with a ratio
      of its own to its probability when it was proposed. So a trial that came late, or has been used often,
      moves the policy no further than a fresh one.
    - REINFORCE (Williams 1992): advantage * log pi, weighted by the ratio, cut at 1 (truncated importance
      sampling, Ionides 2008), which is 1 for a trial of the present policy.
    - Imitation: "priority queue training" (Abolafia et al. 2018) of the best that are better than usual, with
      weights that fall exponentially with rank; users' trials take part in it as any others.

    The same sequences are used in each step of an answer, so they are made once.
    """

    def __init__(
        self,
        policy: Policy,
        spec: SearchSpec,
        settings: ReinforceSettings,
        trials: Sequence[Trial],
        preferences: Sequence[Preference],
    ) -> None:
        """``preferences``: one for each gradient step."""
        self._policy = policy
        self._settings = settings
        rewards = Rewards(spec, settings, trials)
        self._preferences = list(preferences)[:MOST_STEPS]
        weighed = {each: self._weights(rewards.under(each)) for each in dict.fromkeys(self._preferences)}
        last = range(max(0, len(trials) - settings.window), len(trials))
        used = sorted({*last, *(place for _, best in weighed.values() for place in best)})
        self._batch = Batch.of(policy.layout, [trials[place].answers for place in used])
        self._last = len(last)
        self._weighed = {
            each: (
                torch.tensor([advantage.get(place, 0.0) for place in used], dtype=torch.double),
                torch.tensor([best.get(place, 0.0) for place in used], dtype=torch.double),
            )
            for each, (advantage, best) in weighed.items()
        }
        self._old = torch.zeros(self._batch.slots.shape, dtype=torch.double)
        for row, place in enumerate(used):
            logs = trials[place].logs
            self._old[row, : len(logs)] = torch.tensor(logs, dtype=torch.double) / HUNDREDTHS

    def learn(self, entropy: float) -> None:
        for preference in self._preferences:
            self._step(preference, entropy)

    def _step(self, preference: Preference, weight: float) -> None:
        policy, settings = self._policy, self._settings
        advantage, imitated = self._weighed[preference]
        given = torch.tensor(preference, dtype=torch.double)
        logs, entropy = policy.log_probabilities(self._batch, given)
        worth = advantage.unsqueeze(1)
        if settings.algorithm == "ppo":
            ratio = (logs - self._old).clamp(-20.0, 20.0).exp()
            clipped = ratio.clamp(1.0 - settings.clip, 1.0 + settings.clip)
            surrogate = torch.minimum(ratio * worth, clipped * worth) * self._batch.real
        else:
            whole = (logs.detach() - self._old).sum(1, keepdim=True).clamp(-20.0, 0.0).exp()
            surrogate = whole * worth * logs
        gain = surrogate.sum() / self._last
        gain = gain + settings.replay * (imitated.unsqueeze(1) * logs).sum()
        gain = gain + weight * entropy.sum() / len(advantage)
        names = list(policy.parameters)
        gradients = torch.autograd.grad(gain, [policy.parameters[name] for name in names])
        with torch.no_grad():
            for name, gradient in zip(names, gradients, strict=True):
                policy.parameters[name] += (settings.learning_rate * gradient).clamp(-LONGEST, LONGEST)

    def _weights(self, rewards: list[float]) -> tuple[dict[int, float], dict[int, float]]:
        """Advantages of the last trials and weights of the best, by place."""
        settings, start = self._settings, max(0, len(rewards) - self._settings.window)
        found = advantages(settings.baseline, rewards[start:], rewards[:start])
        return dict(enumerate(found, start)), imitations(rewards, settings.replayed)


def imitations(rewards: Sequence[float], replayed: int) -> dict[int, float]:
    """Weights of the best, by place: they fall with the rank, equal rewards have equal ones, and as in
    self-imitation (Oh et al., ICML 2018) only what is better than usual is imitated, by how much it is. So
    of trials that are all alike none is.
    """
    good = sorted(
        (place for place, reward in enumerate(rewards) if math.isfinite(reward)),
        key=lambda place: -rewards[place],
    )
    raw = [math.exp(-3.0 * rank / replayed) if rank < replayed else 0.0 for rank in range(len(good))]
    whole = math.fsum(raw) or 1.0
    alike: dict[float, list[float]] = {}
    for place, weight in zip(good, raw, strict=True):
        alike.setdefault(rewards[place], []).append(weight / whole)
    above = ranked(rewards)
    weights = {place: statistics.fmean(alike[rewards[place]]) * max(0.0, above[place]) for place in good}
    return {place: weight for place, weight in weights.items() if weight > 0.0}


def advantages(baseline: str, rewards: Sequence[float], earlier: Sequence[float]) -> list[float]:
    """How much better each reward is than its baseline. ``earlier``: rewards before these, oldest first."""
    if baseline == "rank":
        return ranked(rewards)
    known = [reward for reward in rewards if math.isfinite(reward)]
    if not known:
        return [0.0] * len(rewards)
    spread = statistics.pstdev(known) or 1.0
    # Of a failure nothing is known but that it is bad: as bad as the worst, and a deviation more.
    floor = min(known) - spread
    given = [reward if math.isfinite(reward) else floor for reward in rewards]
    if baseline == "leave-one-out":
        total, others = math.fsum(given), max(1, len(given) - 1)
        compared = [reward - (total - reward) / others for reward in given]
    else:
        average, compared = (
            statistics.fmean([each for each in earlier if math.isfinite(each)] or known[:1]),
            [],
        )
        for reward in given:
            compared.append(reward - average)
            average = DECAY * average + (1.0 - DECAY) * reward
    return [max(-CLIPPED, min(CLIPPED, each / spread)) for each in compared]
