"""What may still be made: room, budgets and controls, by what an experiment has counted."""

from __future__ import annotations

from typing import Any

from archloom_controller.engine.frame import Frame


class Accounts:
    """``counters`` are the experiment's. Of trials that were made: "search", "control" and "user", and beside
    them "proxies"; of all these "live" are ready or running. Of device seconds: "seconds" that are spent, and
    "reserved".
    """

    def __init__(self, frame: Frame, counters: dict[str, Any]) -> None:
        self.frame = frame
        self.counters = counters

    @property
    def room(self) -> int:
        """How many trials may still be ready or running."""
        return int(self.frame.spec.parallelism - self.counters["live"])

    def affordable(self, wanted: int) -> int:
        """How many search trials the device-second budget still covers."""
        budget = self.frame.spec.budget.device_seconds
        if not budget:
            return wanted
        free = budget - self.counters["seconds"] - self.counters["reserved"]
        return min(wanted, int(free / self.frame.max_seconds + 1e-9))

    def searched(self) -> int:
        return int(self.counters["search"] + self.counters["user"])

    def searches_left(self) -> int:
        """How many trials the strategy and users may still have."""
        return self.affordable(min(self.frame.search_trials - self.searched(), self._unspent()))

    def proxies_left(self) -> int:
        """How many proxy trials the strategy may still have."""
        return int(self.frame.proxy_trials - self.counters["proxies"])

    def controls_left(self) -> int:
        """How many controls are due beside what was searched."""
        due = self.frame.controls_due(self.searched()) - int(self.counters["control"])
        return self.affordable(min(due, self._unspent()))

    def _unspent(self) -> int:
        """A budget that was lowered may leave either side less than its share."""
        return int(self.frame.spec.budget.trials - self.searched() - self.counters["control"])
