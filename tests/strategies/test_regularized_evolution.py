from __future__ import annotations

from archloom.testing import StrategyContract
from archloom_strategies.regularized_evolution import RegularizedEvolution


class TestRegularizedEvolutionContract(StrategyContract):
    strategy = RegularizedEvolution
