from __future__ import annotations

from typing import ClassVar

from archloom.testing import StrategyContract
from archloom_strategies.training_free.strategy import TrainingFree


class TestTrainingFreeContract(StrategyContract):
    strategy = TrainingFree
    settings: ClassVar[dict[str, object]] = {"pool": 10}
    trials = 6


class TestTrainingFreeSearchContract(StrategyContract):
    strategy = TrainingFree
    settings: ClassVar[dict[str, object]] = {"pool": 6, "mode": "search"}
    trials = 8
