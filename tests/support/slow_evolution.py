"""Regularized evolution that takes its time, so that a kill finds it proposing."""

from __future__ import annotations

import time

from archloom.strategy import ProposeResult
from archloom_strategies.regularized_evolution import Population, RegularizedEvolution, Request


class SlowEvolution(RegularizedEvolution):
    name = "slow-evolution"

    def propose(self, request: Request) -> ProposeResult[Population]:
        result = super().propose(request)
        time.sleep(0.1)
        return result
