from __future__ import annotations

from typing import ClassVar

from archloom.testing import StrategyContract
from archloom_strategies.reinforce.strategy import Reinforce


class TestReinforceContract(StrategyContract):
    strategy = Reinforce
    trials = 12
    settings: ClassVar = {"initial": 3}
