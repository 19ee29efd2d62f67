"""Measurements of a network that need no labels: latency and memory."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

WARM_UP = 5


@dataclass(frozen=True)
class Latency:
    """Of one forward pass, in milliseconds: the median, and the distance between the quartiles."""

    median_ms: float
    spread_ms: float

    def metrics(self) -> dict[str, float]:
        return {"latency_ms": self.median_ms, "latency_spread_ms": self.spread_ms}


def time_calls(
    call: Callable[[], object], runs: int, clock: Callable[[], float] = time.perf_counter
) -> Latency:
    """Times ``call`` after a warm-up, ``runs`` times (at least 3)."""
    for _ in range(WARM_UP):
        call()
    times = []
    for _ in range(runs):
        began = clock()
        call()
        times.append((clock() - began) * 1000)
    low, middle, high = statistics.quantiles(times, n=4, method="inclusive")
    return Latency(middle, high - low)


@torch.inference_mode()
def model_latency(model: torch.nn.Module, inputs: torch.Tensor, runs: int) -> Latency:
    """Of the model in evaluation mode on its own device; ``inputs`` is one batch."""
    model.eval()
    on_gpu = inputs.device.type == "cuda"

    def call() -> None:
        model(inputs)
        if on_gpu:
            torch.cuda.synchronize()

    return time_calls(call, runs)


class PeakMemory:
    """The most memory used since it was made, in MiB: allocated on the GPU, else resident in this process."""

    def __init__(self, device: torch.device) -> None:
        self._on_gpu = device.type == "cuda"
        if self._on_gpu:
            torch.cuda.reset_peak_memory_stats()
        else:
            _reset_resident_peak()

    def read_mb(self) -> float:
        if self._on_gpu:
            return torch.cuda.max_memory_allocated() / 2**20
        return _resident_peak_mb()


def _reset_resident_peak() -> None:
    try:
        # Linux: 5 sets the peak to the present size (proc(5)). Elsewhere the peak is the process's whole
        # life's.
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def _resident_peak_mb() -> float:
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
