"""What is proposed: new networks, by the policy; where it has none, by mutation, chance and listing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

import torch
from archloom.space import Architecture, SpaceError
from torch import Tensor

from archloom_strategies.reinforce.draws import Answer
from archloom_strategies.reinforce.intake import Intake, Request
from archloom_strategies.reinforce.policy import Policy
from archloom_strategies.reinforce.rewards import Preference

#: Rounds of draws from the policy, each at a temperature so much higher than the one before.
ROUNDS, HEAT = 10, 1.15
#: Architectures of a round.
LEAST, MOST = 8, 128
#: Mutations of the best, and draws from the space, for each proposal that the policy has nothing for.
MUTATED, SAMPLED = 16, 8
#: Places of the space's list that are looked at in one step, a second or two of a cold replica: 20,000 in the
#: steps that may bring nothing.
LISTED = 1_024


@dataclass(frozen=True)
class Candidate:
    architecture: Architecture
    answers: tuple[Answer, ...]
    preference: Preference
    note: str


class Candidates:
    """Finds new networks and takes them into what is known."""

    def __init__(self, request: Request, intake: Intake, policy: Policy, rng: Random) -> None:
        self._space = request.space
        self._constrained = bool(request.space.tree.constraints)
        self._intake = intake
        self._policy = policy
        self._rng = rng
        self.drawn = 0
        """Architectures that were looked at."""
        self.found: list[Candidate] = []

    def by_policy(self, preferences: Sequence[Preference], explored: Sequence[float]) -> None:
        """One for each preference, as far as rounds of draws bring new networks."""
        left = list(preferences)
        for number in range(ROUNDS):
            if not left:
                return
            many = min(MOST, max(LEAST, 2 * len(left)))
            wanted = [left[place % len(left)] for place in range(many)]
            given = [_tensor(preference) for preference in wanted]
            drawn = self._policy.sample(self._rng, given, HEAT**number, explored)
            for preference, (architecture, answers) in zip(wanted, drawn, strict=True):
                if preference in left and self._new(architecture):
                    left.remove(preference)
                    self._take(architecture, preference, "policy", answers)

    def by_chance(self, preferences: Sequence[Preference]) -> None:
        """One for each preference, by draws of the space itself."""
        for preference in preferences:
            for _ in range(SAMPLED):
                architecture = self._space.sample(self._rng)
                if self._new(architecture, valid=True):
                    self._take(architecture, preference, "random")
                    break

    def by_mutation(self, preferences: Sequence[Preference], best: Sequence[Sequence[Answer]]) -> None:
        """One for each preference, by one to three mutations of the best trials."""
        parents = [self._policy.layout.draws.architecture(answers) for answers in best]
        for preference in preferences if parents else ():
            child = next((each for each in self._mutated(parents) if self._new(each, valid=True)), None)
            if child is not None:
                self._take(child, preference, "mutation")

    def _mutated(self, parents: Sequence[Architecture]) -> Iterator[Architecture]:
        for attempt in range(MUTATED):
            child = self._rng.choice(parents)
            try:
                for _ in range(1 + 3 * attempt // MUTATED):
                    child = self._space.mutate(child, self._rng)
            except SpaceError:
                continue  # no decision of this one has a second value that holds
            yield child

    def by_listing(self, preferences: Sequence[Preference], start: int) -> int:
        """One for each preference, from the space's list at ``start``; answers where to go on."""
        left, size = list(preferences), self._space.size()
        place = start
        while left and place < min(size, start + LISTED):
            architecture = self._space.at(place)
            place += 1
            if architecture is not None and self._new(architecture, valid=True):
                self._take(architecture, left.pop(0), "listed")
        return place

    def _new(self, architecture: Architecture, *, valid: bool = False) -> bool:
        self.drawn += 1
        try:
            if not valid and self._constrained and self._space.check(architecture):
                return False
            return self._intake.known.add(architecture)
        except SpaceError:
            return False  # its shapes do not fit

    def _take(
        self,
        architecture: Architecture,
        preference: Preference,
        note: str,
        answers: Sequence[Answer] | None = None,
    ) -> None:
        if answers is None:
            answers = self._policy.layout.draws.answers(architecture)
        self.found.append(Candidate(architecture, tuple(answers), preference, note))


def _tensor(preference: Preference) -> Tensor:
    return torch.tensor(preference, dtype=torch.double)
