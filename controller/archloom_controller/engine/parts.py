"""What every part of the engine works with."""

from __future__ import annotations

from dataclasses import dataclass, field

from archloom_controller.engine.signals import Signals
from archloom_controller.interfaces import (
    Artifacts,
    Clock,
    EngineSettings,
    Registry,
    StrategyGateway,
    Wakeups,
)
from archloom_controller.metrics import Metrics
from archloom_controller.store import Store


@dataclass(frozen=True)
class Parts:
    store: Store
    gateway: StrategyGateway
    registry: Registry
    artifacts: Artifacts
    wakeups: Wakeups
    settings: EngineSettings
    metrics: Metrics
    #: This process's id in the store.
    replica: str
    signals: Signals = field(default_factory=Signals)

    @property
    def clock(self) -> Clock:
        return self.settings.clock
