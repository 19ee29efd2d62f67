"""What a follower of a search knows so far: a pure fold over watch updates."""

from __future__ import annotations

from dataclasses import dataclass, field

from archloom.client import Event, Experiment, Trial, WatchUpdate
from archloom.spec import Objective

_ENDINGS = {
    "trial_finished": "finished",
    "trial_failed": "failed",
    "trial_infeasible": "infeasible",
    "trial_cancelled": "cancelled",
}


@dataclass
class Progress:
    """Counts, the best of the strategy and of its controls, and the front, from the events alone.

    Best and front are of trials of the full fidelity: what was trained less does not compare with them.
    """

    experiment: Experiment
    objectives: tuple[Objective, ...]
    trials: int
    created: dict[str, int] = field(default_factory=dict)
    ended: dict[str, dict[str, int]] = field(default_factory=dict)
    best: dict[str, Trial] = field(default_factory=dict)
    front: list[Trial] = field(default_factory=list)
    #: Proxy trials that have ended. They are many and train nothing: none is told by itself.
    scored: int = 0
    #: Scores whose refusal was told: a strategy asks again and again, and one by one.
    refused: set[str] = field(default_factory=set)
    #: Trials of the search that have ended at less than the full fidelity.
    lower: int = 0

    @classmethod
    def of(cls, experiment: Experiment) -> Progress:
        return cls(experiment, experiment.spec.objectives, experiment.spec.budget.trials)

    def take(self, update: WatchUpdate) -> list[str]:
        """Takes in one update and answers a line for each thing worth telling."""
        if update.reset:
            self.created, self.ended, self.best, self.front = {}, {}, {}, []
            self.scored = self.lower = 0
            self.refused = set()
        before = self.experiment
        if update.experiment is not None:
            self.experiment = update.experiment
            if update.experiment.spec_revision != before.spec_revision:
                self.trials = update.experiment.spec.budget.trials
        return [line for event in update.events for line in self._take(event)]

    def _take(self, event: Event) -> list[str]:
        trial = event.trial
        if trial is not None and trial.fidelity.proxies:
            self.scored += event.kind in _ENDINGS
            if event.kind == "proposal_refused" and not self.refused.issuperset(trial.fidelity.proxies):
                self.refused.update(trial.fidelity.proxies)
                return [f"scores refused: {event.message}"]
        elif event.kind == "trial_created" and trial is not None:
            self.created[trial.role] = self.created.get(trial.role, 0) + 1
        elif event.kind in _ENDINGS and trial is not None:
            word = _ENDINGS[event.kind]
            counts = self.ended.setdefault(trial.role, {})
            counts[word] = counts.get(word, 0) + 1
            return [self._ending(trial, word, event.message)]
        elif event.kind == "phase_changed":
            return [f"phase: {event.phase}"]
        elif event.kind == "state_changed":
            return [f"state: {event.state}" + (f" ({event.message})" if event.message else "")]
        elif event.kind in ("degraded", "recovered", "winner_fixed"):
            words = event.kind.replace("_", " ")
            return [f"{words}: {event.message}" if event.message else words]
        return []

    def _ending(self, trial: Trial, word: str, message: str) -> str:
        line = f"{trial.role} trial {trial.number} {word}"
        searched = trial.role in ("search", "control", "user")
        full = trial.fidelity == self.experiment.full_fidelity
        if searched and not full:
            line += f" at {trial.fidelity}"
            self.lower += 1
        if word == "finished":
            shown = [each.metric for each in self.objectives if each.metric in trial.metrics]
            shown = shown or list(trial.metrics)[:3]
            line += ": " + ", ".join(f"{name} {trial.metrics[name]:.5g}" for name in shown)
            if searched and full and self._better(trial):
                self.best[trial.role] = trial
                line += f"  (best {'control' if trial.role == 'control' else 'so far'})"
            if searched and full and not trial.reported:
                self._join_front(trial)
        elif trial.failure is not None:
            line += f": {trial.failure.reason.replace('_', ' ')}. {trial.failure.message}".rstrip(". ")
        elif message:
            line += f": {message}"
        return line

    def _better(self, trial: Trial) -> bool:
        objective = self.objectives[0]
        value = trial.metrics.get(objective.metric)
        if value is None:
            return False
        best = self.best.get(trial.role)
        if best is None:
            return True
        known = best.metrics[objective.metric]
        return value > known if objective.goal == "maximize" else value < known

    def _join_front(self, trial: Trial) -> None:
        point = self._point(trial)
        if point is None:
            return
        rivals = [(each, self._point(each)) for each in self.front]
        if any(other is not None and _dominates(other, point) for _, other in rivals):
            return
        beaten = {each.number for each, other in rivals if other is not None and _dominates(point, other)}
        self.front = [
            each for each in self.front if each.number not in beaten and each.number != trial.number
        ]
        self.front.append(trial)
        self.front.sort(key=lambda each: (self._point(each) or (0.0,))[0], reverse=True)

    def _point(self, trial: Trial) -> tuple[float, ...] | None:
        """The objectives' values, signed so that more is better; None when one is missing."""
        values = [trial.metrics.get(each.metric) for each in self.objectives]
        if any(value is None for value in values):
            return None
        return tuple(
            value if each.goal == "maximize" else -value
            for value, each in zip(values, self.objectives, strict=True)
            if value is not None
        )

    def finished(self, *roles: str) -> int:
        """Trials of these roles that have ended, however."""
        return sum(sum(self.ended.get(role, {}).values()) for role in roles)

    def count(self, word: str) -> int:
        """Trials of the search that ended so ("failed", "infeasible", ...)."""
        return sum(self.ended.get(role, {}).get(word, 0) for role in ("search", "control", "user"))


def _dominates(first: tuple[float, ...], second: tuple[float, ...]) -> bool:
    return first != second and all(a >= b for a, b in zip(first, second, strict=True))
