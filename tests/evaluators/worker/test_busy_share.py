"""How busy a worker says it is: from clocks that the test moves, and a stand-in for torch."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from archloom_evaluators.worker.load import BusyShare


class Clocks:
    wall = 100.0
    cpu = 5.0

    def share(self, threads: int = 1) -> BusyShare:
        return BusyShare(threads, monotonic=lambda: self.wall, cpu_seconds=lambda: self.cpu)


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    return Clocks()


def gpu(monkeypatch: pytest.MonkeyPatch, utilization: Callable[[], int]) -> None:
    cuda = SimpleNamespace(
        is_available=lambda: True, is_initialized=lambda: True, utilization=utilization, __spec__=None
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda, __spec__=None))


@pytest.mark.parametrize(
    ("threads", "used", "told"), [(1, 2.5, 0.25), (2, 5.0, 0.25), (1, 40.0, 1.0), (1, 0, 0)]
)
def test_the_cpu_since_the_last_reading(clocks: Clocks, threads: int, used: float, told: float) -> None:
    busy = clocks.share(threads)
    clocks.wall, clocks.cpu = clocks.wall + 10, clocks.cpu + used
    assert busy.read(working=True) == pytest.approx(told)
    clocks.wall += 10
    assert busy.read(working=True) == 0


def test_the_gpu_where_there_is_one(clocks: Clocks, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu(monkeypatch, lambda: 40)
    assert clocks.share().read(working=False) == 0.4


@pytest.mark.parametrize("error", [ModuleNotFoundError("nvidia-ml-py"), RuntimeError("no driver")])
def test_a_gpu_that_cannot_be_read_is_busy_while_it_works(
    clocks: Clocks, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fails() -> int:
        raise error

    gpu(monkeypatch, fails)
    assert [clocks.share().read(working=working) for working in (True, False)] == [1.0, 0.0]
