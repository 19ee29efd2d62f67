"""docs/plug-in-a-strategy.md, followed to the letter."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from archloom.space import load_preset
from archloom.space.nasbench201 import to_arch_string

PAGE = Path(__file__).resolve().parents[3] / "docs" / "plug-in-a-strategy.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reader's folder after steps 1 and 2."""
    made = tmp_path_factory.mktemp("reader")
    strategy, contract, *_ = blocks("python")
    (made / "hill_climber.py").write_text(strategy)
    (made / "test_hill_climber.py").write_text(contract)
    return made


def run(folder: Path, *command: str) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_the_strategy_keeps_the_contract(folder: Path) -> None:
    told = run(folder, "pytest", "-q", "-p", "no:cacheprovider", "test_hill_climber.py")
    assert re.search(r"^\d+ passed in ", told, re.MULTILINE), told  # and no warning


def test_the_strategy_is_measured_on_a_table(folder: Path) -> None:
    rng = random.Random(1)
    rows = [f"{to_arch_string(each)},{rng.random()}" for each in load_preset("nasbench201").enumerate()]
    (folder / "cells.csv").write_text("\n".join(["arch,val_accuracy", *rows]))
    options = ["--space", "nasbench201", "--table", "cells.csv", "--metric", "val_accuracy"]
    options += ["--strategy", "hill_climber:HillClimber", "--queries", "40", "--seeds", "2"]
    assert "hill-climber: maximize val_accuracy" in run(folder, "archloom.cli", "bench", "tabular", *options)


def test_the_snippets_are_of_this_version() -> None:
    for text in blocks("python"):
        compile(text, "snippet", "exec")
    (toml,) = blocks("toml")
    assert tomllib.loads(toml)["project"]["entry-points"] == {
        "archloom.strategies": {"hill-climber": "hill_climber:HillClimber"}
    }
