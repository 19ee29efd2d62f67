"""What an experiment is: models of the spec, read from YAML or JSON with every fault told by its path."""

from archloom.spec.models import (
    Budget,
    Constraint,
    Control,
    Evaluator,
    ExperimentSpec,
    Fidelity,
    Finalists,
    Objective,
    Strategy,
    Task,
    TrialLimits,
)

__all__ = [
    "Budget",
    "Constraint",
    "Control",
    "Evaluator",
    "ExperimentSpec",
    "Fidelity",
    "Finalists",
    "Objective",
    "Strategy",
    "Task",
    "TrialLimits",
]
