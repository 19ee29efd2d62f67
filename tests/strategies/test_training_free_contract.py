from __future__ import annotations

from archloom.testing import StrategyContract
from archloom_strategies.training_free.strategy import TrainingFree


class TestTrainingFreeContract(StrategyContract):
    strategy = TrainingFree
    settings = {"pool": 10}
    trials = 6


class TestTrainingFreeSearchContract(StrategyContract):
    strategy = TrainingFree
    settings = {"pool": 6, "mode": "search"}
    trials = 8
