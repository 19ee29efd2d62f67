"""`archloom export EXPERIMENT --format python`."""

from __future__ import annotations

from pathlib import Path

import pytest
from archloom.cli import main
from archloom.space import Architecture, Space
from archloom.spec import ExperimentSpec
from fake_server import NAME, FakeServer
from sample_search import Sample


@pytest.fixture(autouse=True)
def filled(fake: FakeServer, sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.experiment, fake.trials, fake.report = sample
    monkeypatch.setenv("ARCHLOOM_SERVER", fake.address)
    monkeypatch.delenv("ARCHLOOM_TOKEN", raising=False)
    monkeypatch.delenv("ARCHLOOM_PROJECT", raising=False)


def hash_of(fake: FakeServer, classes: int) -> str:
    space = ExperimentSpec.from_proto(fake.experiment.spec).space
    assert isinstance(space, Space)
    return space.graph(Architecture.from_proto(fake.trials[0].architecture), classes).hash


def test_the_winner_or_a_trial_becomes_a_file(
    fake: FakeServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fake.experiment.winner = f"{NAME}/trials/17"
    fake.experiment.spec.task.dataset = "mnist5k"
    assert main(["export", "sample", "--format", "python", "--out", str(tmp_path)]) == 0
    assert capfd.readouterr().out == f"{tmp_path / 'network.py'}\n"
    assert fake.asked("GetTrial")[0].name == f"{NAME}/trials/17"
    text = (tmp_path / "network.py").read_text()
    assert hash_of(fake, classes=10) in text  # the data set's classes
    assert "class Network(nn.Module):" in text
    command = ["export", "sample", "--format", "python", "--trial", "3", "--classes", "7"]
    assert main([*command, "--out", str(tmp_path / "third.py")]) == 0
    assert fake.asked("GetTrial")[1].name == f"{NAME}/trials/3"
    assert hash_of(fake, classes=7) in (tmp_path / "third.py").read_text()


def test_without_a_winner_a_trial_must_be_named(
    fake: FakeServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fake.experiment.winner = ""
    assert main(["export", "sample", "--format", "python", "--out", str(tmp_path)]) == 1
    assert "has no winner yet; name one of its trials" in capfd.readouterr().err
    assert main(["export", "mlp", "{}", "--format", "python", "--trial", "1"]) == 1
    assert "a space has no trials" in capfd.readouterr().err
