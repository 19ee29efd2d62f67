"""Strategies as processes: their start, their end, and death at any point."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from archloom.errors import Unavailable
from archloom.space import load_preset
from archloom.strategy import Objective, SearchSpec
from archloom.testing.rehearsal import rehearse
from archloom.testing.session import RemotePlugin, Session
from archloom.v1 import strategy_pb2

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts ``archloom serve-strategy``; what still runs at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "archloom.cli", "serve-strategy", *arguments]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=os.environ)
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def address_of(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.search(r"listening on (\S+)", line):
            return found[1]
    raise AssertionError(f"it ended with {process.wait()} before it listened")


def test_it_serves_until_it_is_told_to_stop(start: Start) -> None:
    process = start("evolution", "--listen", "127.0.0.1:0")
    with RemotePlugin(address_of(process)) as plugin:
        assert plugin.describe().name == "evolution"
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "stopping" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("no_such_module:Thing", "--listen", "127.0.0.1:0"), "there is no module 'no_such_module'"),
        (("radnom", "--listen", "127.0.0.1:0"), "did you mean 'random'?"),
        (("random",), "--listen HOST:PORT"),
        (("random", "--listen", "0.0.0.0:0"), "can be reached from other machines"),
        (("random", "--listen", "127.0.0.1:0", "--metrics-listen", "here"), "cannot serve metrics on 'here'"),
    ],
)
def test_a_start_that_fails_is_one_sentence(start: Start, arguments: tuple[str, ...], sentence: str) -> None:
    process = start(*arguments)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert sentence in errors
    assert len(errors.strip().splitlines()) == 1


def test_killed_in_the_middle_of_a_search_nothing_is_lost(start: Start) -> None:
    """SIGKILL every few steps, a new process each time: the answers are those of one that lived."""
    spec = SearchSpec(
        space=load_preset("nasbench201"), objectives=(Objective("val_accuracy"),), trials=40, parallelism=4
    )
    process = start("evolution", "--listen", "127.0.0.1:0")
    settings = {"population": 10}
    with RemotePlugin(address_of(process)) as plugin:
        lived = Session(plugin, spec, settings)
        rehearse(lived, spec, trials=40, parallel=4)

    class Dying:
        """Kills the process after every ninth call."""

        def __init__(self) -> None:
            self.process, self.calls, self.deaths = process, 0, 0
            self.plugin = RemotePlugin(lived.plugin.address)  # type: ignore[attr-defined]

        def propose(self, request: strategy_pb2.ProposeRequest) -> strategy_pb2.ProposeResponse:
            self.calls += 1
            if self.calls % 9 == 0:
                self.deaths += 1
                self.process.kill()
                self.process.wait()
                with pytest.raises(Unavailable):
                    self.plugin.propose(request)
                self.plugin.close()
                self.process = start("evolution", "--listen", "127.0.0.1:0")
                self.plugin = RemotePlugin(address_of(self.process))
            return self.plugin.propose(request)

    dying = Dying()
    died = Session(dying, spec, settings)  # type: ignore[arg-type]
    rehearse(died, spec, trials=40, parallel=4)
    dying.plugin.close()
    assert dying.deaths >= 3
    assert [answer for _, answer in died.record] == [answer for _, answer in lived.record]
