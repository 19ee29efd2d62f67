from __future__ import annotations

from typing import ClassVar

from archloom.testing import StrategyContract
from archloom_strategies.portfolio.strategy import Portfolio


class TestPortfolioContract(StrategyContract):
    """With the cheap ones of its arms; its defaults are tried by one requirement, and elsewhere."""

    strategy = Portfolio
    trials = 12
    settings: ClassVar = {"arms": [{"name": "evolution"}, {"name": "grid"}, {"name": "random"}]}
