"""How busy the worker's device was."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable

from archloom_evaluators.worker import counters

log = logging.getLogger("archloom.worker")


class BusyShare:
    """Busy share since the last reading: of the CPU threads, and of the GPU when the process uses one."""

    def __init__(
        self,
        threads: int = 1,
        monotonic: Callable[[], float] = time.monotonic,
        cpu_seconds: Callable[[], float] = time.process_time,
    ) -> None:
        self._threads = threads
        self._monotonic = monotonic
        self._cpu_seconds = cpu_seconds
        self._then = (monotonic(), cpu_seconds())

    def read(self, *, working: bool) -> float:
        """Share in [0, 1] of the GPU when there is one, else of the CPU.

        ``working``: an attempt runs at this moment.
        """
        now = (self._monotonic(), self._cpu_seconds())
        wall, cpu = now[0] - self._then[0], now[1] - self._then[1]
        self._then = now
        share = min(1.0, max(0.0, cpu / (wall * self._threads))) if wall > 0 else 0.0
        counters.BUSY.labels(device="cpu").set(share)
        gpu = _gpu_share(working)
        if gpu is None:
            return share
        counters.BUSY.labels(device="gpu").set(gpu)
        return gpu


def _gpu_share(working: bool) -> float | None:
    # A process that has not imported torch uses no GPU, and must not be made to load it for a reading.
    torch = sys.modules.get("torch")
    # Nor may it look into a module that the other thread is just importing.
    if torch is None or getattr(torch.__spec__, "_initializing", False):
        return None
    if not torch.cuda.is_available() or not torch.cuda.is_initialized():
        return None
    try:
        return min(1.0, float(torch.cuda.utilization()) / 100.0)
    except Exception as error:
        # NVML is not there, or has an error of its own class. A reading must not cost a heartbeat: the GPU
        # counts as busy while an attempt runs.
        log.debug("the GPU's busy share cannot be read: %s", error)
        return 1.0 if working else 0.0
