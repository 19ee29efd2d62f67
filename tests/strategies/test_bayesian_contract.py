from __future__ import annotations

from archloom.testing import StrategyContract
from archloom_strategies.bayesian.strategy import BayesianOptimization


class TestBayesianContract(StrategyContract):
    strategy = BayesianOptimization
    trials = 8
