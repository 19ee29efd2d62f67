"""Everything that a report is written from, gathered once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from archloom.client import Experiment, Finalist, Report, Trial
from archloom.spec import Objective


@dataclass(frozen=True)
class Outcome:
    """An experiment, its evidence, and its search's trials (strategy's, controls' and users')."""

    experiment: Experiment
    report: Report
    trials: Sequence[Trial]

    @property
    def objectives(self) -> tuple[Objective, ...]:
        return self.experiment.spec.objectives

    @property
    def front_metrics(self) -> list[str]:
        """The columns of the front: the objectives, and the parameters where they were counted."""
        return shown_metrics(self.objectives, self.report.front)

    @property
    def winner(self) -> Finalist | None:
        """The finalist that won by validation; the report names its best run. None before it is fixed."""
        name = self.report.winner
        for finalist in self.report.finalists:
            if name and (finalist.trial == name or any(run.name == name for run in finalist.runs)):
                return finalist
        return None

    @property
    def lower(self) -> int:
        """Trials that ended at less than the full fidelity."""
        return sum(each.ended and not self.is_full(each) for each in self.trials)

    def is_full(self, trial: Trial) -> bool:
        return trial.fidelity == self.experiment.full_fidelity

    def best_so_far(self, role: str) -> list[tuple[int, float]]:
        """After each ended trial of the role, by number: how many, and the best value yet. What has less than
        the full fidelity counts as a trial, its value does not.
        """
        objective = self.objectives[0]
        points: list[tuple[int, float]] = []
        best: float | None = None
        count = 0
        for trial in sorted(self.trials, key=lambda each: each.number):
            if trial.role != role or not trial.ended:
                continue
            count += 1
            counts = trial.state == "completed" and self.is_full(trial)
            value = trial.metrics.get(objective.metric) if counts else None
            if value is not None and (best is None or (value > best) == (objective.goal == "maximize")):
                best = value
            if best is not None:
                points.append((count, best))
        return points


def shown_metrics(objectives: Sequence[Objective], trials: Sequence[Trial]) -> list[str]:
    """The objectives' metrics, and the parameters where a trial has them."""
    names = [each.metric for each in objectives]
    counted = "parameters" not in names and any("parameters" in each.metrics for each in trials)
    return [*names, "parameters"] if counted else names
