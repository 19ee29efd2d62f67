"""`archloom spaces operations`."""

from __future__ import annotations

import json

import pytest
from archloom.cli import main
from archloom.space.operations import COMPOSITES, layer_names


@pytest.fixture(autouse=True)
def _of_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ARCHLOOM_SERVER", raising=False)


def test_all_operations_in_a_table(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["spaces", "operations"]) == 0
    shown = capfd.readouterr().out
    lines = shown.splitlines()
    assert lines[0].split() == ["NAME", "TAKES", "PARAMETERS", "SUMMARY"]
    assert {line.split()[0] for line in lines[1:]} >= {*layer_names(), *COMPOSITES}
    (conv,) = [line for line in lines if line.startswith("conv ")]
    assert "image seq" in conv
    assert "k! out stride" in conv


def test_one_operation(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["spaces", "operations", "conv"]) == 0
    shown = capfd.readouterr().out
    for words in (
        "Takes one input.",
        "  seq -> seq[out, ",
        "Weights: k ** axes * (c // groups) * out + (out if bias else 0)",
        "norm, activation",
        "same|valid|causal",
        "int from 1 to 1000",
        "required",
        "It must hold that out % groups == 0, else: groups do not divide out.",
    ):
        assert words in shown
    assert main(["spaces", "operations", "sum"]) == 0
    assert "Takes one or more inputs." in capfd.readouterr().out
    assert main(["spaces", "operations", "sep_conv"]) == 0
    assert "Made of other layers" in capfd.readouterr().out


def test_as_json(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["spaces", "operations", "--json"]) == 0
    found = {each["name"]: each for each in json.loads(capfd.readouterr().out)}
    assert found["lstm"]["takes"] == ["seq"]
    assert main(["spaces", "operations", "lstm", "--json"]) == 0
    assert json.loads(capfd.readouterr().out) == found["lstm"]


def test_a_name_that_does_not_exist(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["spaces", "operations", "atention"]) != 0
    assert "did you mean 'attention'?" in capfd.readouterr().err
