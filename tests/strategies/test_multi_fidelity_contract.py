"""Each scheduler of ``multi-fidelity`` keeps what the controller relies on."""

from __future__ import annotations

from typing import ClassVar

from archloom.testing import StrategyContract
from archloom_strategies.multi_fidelity.strategy import MultiFidelity


class TestAsha(StrategyContract):
    strategy = MultiFidelity
    trials = 24


class TestHyperband(StrategyContract):
    strategy = MultiFidelity
    settings: ClassVar[dict[str, object]] = {"scheduler": "hyperband", "stopping": "median"}
    trials = 12


class TestSuccessiveHalving(StrategyContract):
    strategy = MultiFidelity
    settings: ClassVar[dict[str, object]] = {"scheduler": "successive-halving", "stopping": "curve"}
    trials = 12
