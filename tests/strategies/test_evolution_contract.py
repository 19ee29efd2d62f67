from __future__ import annotations

from typing import ClassVar

from archloom.testing import StrategyContract
from archloom_strategies.evolution.strategy import Evolution


class TestTheDefaults(StrategyContract):
    strategy = Evolution


class TestRegularizedWithATinyPopulation(StrategyContract):
    strategy = Evolution
    settings: ClassVar = {"kind": "regularized", "population": 2, "sample": 1}


class TestNsga2(StrategyContract):
    strategy = Evolution
    settings: ClassVar = {"kind": "nsga2"}


class TestNsga3(StrategyContract):
    strategy = Evolution
    settings: ClassVar = {"kind": "nsga3", "guide": "additive"}


class TestLocalSearch(StrategyContract):
    strategy = Evolution
    settings: ClassVar = {"kind": "local-search", "population": 2}


class TestGuidedLocalSearch(StrategyContract):
    strategy = Evolution
    settings: ClassVar = {"kind": "local-search", "guide": "additive"}
