from __future__ import annotations

from archloom.testing import StrategyContract
from archloom_strategies.reinforce.strategy import Reinforce


class TestReinforceContract(StrategyContract):
    strategy = Reinforce
