"""Write a search strategy: subclass Strategy, then ``archloom serve-strategy module:Class``."""

from archloom.errors import Violation
from archloom.strategy.base import Strategy
from archloom.strategy.values import (
    Capabilities,
    Comparison,
    Constraint,
    Fidelity,
    Goal,
    Measurement,
    NoSettings,
    Objective,
    Observation,
    ObservationKind,
    Proposal,
    ProposeRequest,
    ProposeResult,
    SearchSpec,
    SupernetJob,
)

__all__ = [
    "Capabilities",
    "Comparison",
    "Constraint",
    "Fidelity",
    "Goal",
    "Measurement",
    "NoSettings",
    "Objective",
    "Observation",
    "ObservationKind",
    "Proposal",
    "ProposeRequest",
    "ProposeResult",
    "SearchSpec",
    "Strategy",
    "SupernetJob",
    "Violation",
]
