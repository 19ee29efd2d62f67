"""`archloom spaces sample`, and what takes its output."""

from __future__ import annotations

import json
import re
from pathlib import Path
from random import Random

import pytest
from archloom.cli import main
from archloom.space import Architecture, load_preset

SPACE = load_preset("nasbench201")


def test_a_sample_is_the_decisions_as_json(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["spaces", "sample", "nasbench201", "--seed", "3"]) == 0
    printed = capfd.readouterr().out
    assert Architecture.from_dict(json.loads(printed)) == SPACE.sample(Random(3))
    file = tmp_path / "chosen.json"
    assert main(["spaces", "sample", "nasbench201", "--seed", "3", "-o", str(file)]) == 0
    assert file.read_text() == printed
    names = []
    for given in (str(file), printed):  # by the file, and written out
        assert main(["spaces", "draw", "nasbench201", given, "-o", str(tmp_path / "drawn.svg")]) == 0
        names.append(re.findall(r"<text[^>]*>([^<]*)", (tmp_path / "drawn.svg").read_text()))
    assert names[0][0] != names[1][0]  # the title
    assert names[0][1:] == names[1][1:]


def test_several_are_a_line_each(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["spaces", "sample", "nasbench201", "--count", "4"]) == 0
    lines = capfd.readouterr().out.splitlines()
    rng = Random(0)
    assert [Architecture.from_dict(json.loads(line)) for line in lines] == [
        SPACE.sample(rng) for _ in range(4)
    ]


def test_a_name_that_is_nearly_a_preset_is_recognised(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["spaces", "show", "nasbench21"]) != 0
    assert "did you mean 'nasbench201'?" in capfd.readouterr().err
