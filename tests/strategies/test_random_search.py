from __future__ import annotations

from archloom.testing import StrategyContract
from archloom_strategies.random_search import RandomSearch


class TestRandomSearchContract(StrategyContract):
    strategy = RandomSearch
