"""A policy that learns from its own trials: REINFORCE and PPO for architectures."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterable, Iterator

from archloom.errors import InvalidInput, Violation
from archloom.strategy import Capabilities, ProposeRequest, ProposeResult, SearchSpec, Strategy

from archloom_strategies.reinforce.draws import MOST_VALUES, Draws
from archloom_strategies.reinforce.memory import Memory
from archloom_strategies.reinforce.settings import ReinforceSettings

MISSING = "the strategy 'reinforce' needs torch, which is not installed: pip install 'archloom[reinforce]'"


class Reinforce(Strategy[ReinforceSettings, bytes]):
    """A policy draws architectures decision by decision; trials that end move it towards the better ones.

    Zoph and Le, "Neural Architecture Search with Reinforcement Learning", ICLR 2017 (REINFORCE); Schulman et
    al., "Proximal Policy Optimization Algorithms", 2017, as MnasNet (Tan et al., CVPR 2019) used it; Abolafia
    et al., "Neural Program Synthesis with Priority Queue Training", 2018, for the imitation of the best; Oh
    et al., "Self-Imitation Learning", ICML 2018, for how strongly.

    Departures from these, whose searches have tens of thousands of trials:

    - Every trial in a window is used in several gradient steps, and the best of all are imitated. PPO's
      clipping, by each trial's probability when it was proposed, bounds what one trial can do, fresh or late.
    - Some decisions of each proposal are drawn anew, however sure the policy is of them (see ``exploring``).
      The gradient takes these draws for the policy's own.
    - The controller is no recurrent network but a sum of embeddings with a bias for each value, which is
      learned from few trials, and of which repetitions of a layer share a part (see ``policy``).
    - A network that was asked is drawn again, at a rising temperature, until it is a new one: a policy that
      is nearly certain then looks at the neighbours of its favourite, the likeliest first.
    - What a space does not allow is drawn again too; after some rounds mutations of the best trials and
      draws of the space itself take the place of the policy's.
    """

    name = "reinforce"
    version = "1"
    state_version = 1
    summary = "A learned policy over the decisions: PPO or REINFORCE, with imitation of the best trials."
    capabilities = Capabilities(max_objectives=0, constraints=True, history=True)

    def check(self, spec: SearchSpec, settings: ReinforceSettings) -> Iterator[Violation]:
        yield from _faults(spec, settings)
        values = sum(slot.outputs for slot in Draws(spec.space).slots)
        if values > MOST_VALUES:
            yield Violation(
                "space",
                f"has {values:,} values in all its decisions; a policy in the state holds {MOST_VALUES:,}",
            )
        if importlib.util.find_spec("torch") is None:
            yield Violation("strategy.name", MISSING)

    def load_state(self, version: int, data: bytes) -> bytes:
        super().load_state(version, data)
        return Memory.loaded(data).dumped()

    def propose(self, request: ProposeRequest[ReinforceSettings, bytes]) -> ProposeResult[bytes]:
        try:
            from archloom_strategies.reinforce.search import Search
        except ModuleNotFoundError as error:
            if error.name != "torch":
                raise
            raise InvalidInput([Violation("strategy.name", MISSING)]) from None
        return Search(request).answer()


def _faults(spec: SearchSpec, settings: ReinforceSettings) -> Iterable[Violation]:
    known = [goal.metric for goal in spec.objectives]
    for metric, target in settings.targets.items():
        if metric not in known:
            yield Violation(f"settings.targets.{metric}", f"is no objective; there are {', '.join(known)}")
        elif not (target > 0 and math.isfinite(target)):
            yield Violation(f"settings.targets.{metric}", f"expected a number above 0, found {target}")
    free = [metric for metric in known if metric not in settings.targets]
    if not free:
        yield Violation("settings.targets", "leave at least one objective without a target, to be improved")
    for metric, weight in settings.weights.items():
        if metric not in free:
            what = "has a target" if metric in known else "is no objective"
            yield Violation(f"settings.weights.{metric}", f"{what}; weights are for {', '.join(free)}")
        elif not (weight >= 0 and math.isfinite(weight)):
            yield Violation(f"settings.weights.{metric}", f"expected a number from 0 up, found {weight}")
    if settings.weights and not any(weight > 0 for weight in settings.weights.values()):
        yield Violation("settings.weights", "at least one weight is above 0")
