"""Evaluators by kind, found by entry point: adding one edits no file here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points

from archloom_evaluators.evaluator import AnyEvaluator, BatchedEvaluator

EVALUATORS = "archloom.evaluators"


@dataclass(frozen=True)
class Registry:
    """The evaluators of this process."""

    evaluators: Mapping[str, AnyEvaluator]

    def is_batched(self, kind: str) -> bool:
        return isinstance(self.evaluators[kind], BatchedEvaluator)


def installed_registry() -> Registry:
    """One of each installed evaluator: classes that are called without arguments."""
    found = {point.name: point.load()() for point in entry_points(group=EVALUATORS)}
    return Registry(dict(sorted(found.items())))
