"""Regularized evolution that takes its time, so that a kill finds it proposing."""

from __future__ import annotations

import time

from archloom.strategy import ProposeResult
from archloom_strategies.evolution.strategy import Evolution, Population, Request


class SlowEvolution(Evolution):
    name = "slow-evolution"

    def propose(self, request: Request) -> ProposeResult[Population]:
        result = super().propose(request)
        time.sleep(0.1)
        return result
