"""``archloom conformance strategy`` on plugins that run as processes of their own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from archloom.testing.requirements import REQUIREMENTS
from command_line import archloom
from waiting import wait_for

SUPPORT = Path(__file__).resolve().parents[2] / "support"
Serve = Callable[[str], str]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts ``archloom serve-strategy`` and gives its address."""
    started: list[subprocess.Popen[bytes]] = []

    def run(strategy: str) -> str:
        log = tmp_path / "plugin.log"
        command = [sys.executable, "-m", "archloom.cli", "serve-strategy", strategy]
        with log.open("wb") as errors:
            process = subprocess.Popen(
                [*command, "--listen", "127.0.0.1:0"], stderr=errors, cwd=SUPPORT, env=os.environ
            )
        started.append(process)
        listening = wait_for(lambda: re.search(r"listening on (\S+)", log.read_text()))
        return str(listening[1])

    yield run
    for process in started:
        process.kill()
        process.wait()


def test_a_plugin_that_keeps_all_of_it(serve: Serve) -> None:
    ran = archloom("conformance", "strategy", serve("faulty_strategies:Sound"), "--trials", "8")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    rows = ran.stdout.splitlines()
    for requirement in REQUIREMENTS:
        (row,) = [line for line in rows if line.startswith(f"{requirement.name} ")]
        assert " passed " in row or (requirement.name in ("scores", "stops") and " not asked " in row)
    assert rows[-1] == f"sound 1: {len(REQUIREMENTS) - 2} passed, 2 not asked"


def test_a_plugin_that_breaks_some_of_it(serve: Serve) -> None:
    address = serve("faulty_strategies:Quitting")
    ran = archloom("conformance", "strategy", address, "--trials", "8")
    assert ran.returncode == 1
    told = " ".join(ran.stdout.split())
    assert re.search(
        r"small-space failed [\d.]+ it is over \(it was enough\) after \d of 8 architectures", told
    )
    assert "Answer exhausted when every architecture was asked, and not before." in told
    options = ["--only", "small-space", "--only", "batches", "--settings", '{"draws": 5}', "--json"]
    ran = archloom("conformance", "strategy", address, *options)
    assert ran.returncode == 1
    report = json.loads(ran.stdout)
    assert (report["strategy"], report["passed"]) == ("sound", False)
    assert [(each["name"], each["status"]) for each in report["requirements"]] == [
        ("batches", "passed"),
        ("small-space", "failed"),
    ]
    assert report["requirements"][1]["remedy"]


def test_an_installed_strategy_needs_no_address() -> None:
    ran = archloom("conformance", "strategy", "random", "--only", "seeds", "--trials", "8")
    assert (ran.returncode, ran.stdout.splitlines()[-1]) == (0, "random 1: 1 passed")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("127.0.0.1:1",), "no strategy answers at 127.0.0.1:1"),
        (("random", "--only", "batch"), "--only: there is no requirement 'batch'; did you mean 'batches'?"),
        (("random", "--settings", "[]"), "--settings: give a JSON object"),
        (("random", "--settings", '{"sampling": 3}'), "settings.sampling: "),
        (("radnom",), "did you mean 'random'?"),
    ],
)
def test_what_is_wrong_is_one_sentence(arguments: tuple[str, ...], sentence: str) -> None:
    ran = archloom("conformance", "strategy", *arguments)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert sentence in ran.stderr
    assert len(ran.stderr.splitlines()) == 1
