"""Experiments as users see them."""

from __future__ import annotations

from archloom.v1 import experiment_pb2

from archloom_controller.convert import experiment_message
from archloom_controller.store import Store
from archloom_controller.store.layout import LEASED, READY, Document


class Snapshots:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def of(self, experiment: Document) -> experiment_pb2.Experiment:
        """With the ready and leased trials counted, which costs what is alive, at most ``parallelism``."""
        live: dict[int, int] = {}
        if experiment["counters"]["live"] > 0:
            for state in (READY, LEASED):
                live[state] = await self._store.trials.count(experiment["_id"], state)
        return experiment_message(experiment, live)
