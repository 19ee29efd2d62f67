"""`archloom spaces draw`."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from random import Random

import pytest
from archloom.cli import main
from archloom.space import load_preset
from drawn import SVG, read


def draw(*arguments: str) -> int:
    return main(["spaces", "draw", *arguments, "--engine", "graphlay"])


def title(svg: str) -> str:
    return read(svg).root.findtext(f"{SVG}title", "")


def test_a_sample_is_drawn_to_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "one.svg"
    assert draw("resnet", "-o", str(out), "--seed", "3", "--classes", "10") == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"{out}: ")
    assert title(out.read_text()) == "resnet: a sample (seed 3)"
    assert "output logits" in out.read_text()


def test_to_standard_output_folded_and_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert draw("nasbench201", "9999") == 0
    folded = capsys.readouterr().out
    assert title(folded) == "nasbench201: number 9,999"
    assert draw("nasbench201", "9999", "--unfold") == 0
    assert len(read(capsys.readouterr().out).shown()) > 2 * len(read(folded).shown())


def test_an_architecture_from_a_file_and_from_standard_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    space = load_preset("resnet")
    rng = Random(2)
    first = space.sample(rng)
    second = space.mutate(first, rng)
    path = tmp_path / "first.json"
    path.write_text(json.dumps(first.to_dict()))
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(second.to_dict())))
    assert draw("resnet", "-", "--against", str(path)) == 0
    svg = capsys.readouterr().out
    assert title(svg) == "resnet: first.json → standard input"
    (changed,) = [path for path in first if first[path] != second.decisions.get(path)][:1]
    assert f"{changed}: {first[changed]} → {second[changed]}" in svg


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nasbench201", "15625"), "there is no number 15,625: the last is 15,624"),
        (("nasbench201", "nowhere.json"), "nowhere.json: No such file or directory: expected its number"),
        (("nosuch",), "'nosuch' is neither a file nor a preset"),
        (("mlp", "0", "-o", "/nowhere/at/all.svg"), "/nowhere/at/all.svg: cannot be written"),
    ],
)
def test_faults_are_sentences(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert draw(*arguments) == 1
    assert said in capsys.readouterr().err


def test_a_broken_file_and_a_foreign_architecture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.json"
    path.write_text("{")
    assert draw("mlp", str(path)) == 1
    assert "is no JSON" in capsys.readouterr().err
    path.write_text('{"stem.k": 3}')
    assert draw("mlp", str(path)) == 1
    assert "stem.k: is no decision of this space" in capsys.readouterr().err


def test_without_an_engine_it_says_what_to_install(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "graphlay", None)
    assert main(["spaces", "draw", "mlp"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "put graphviz's dot on PATH, or pip install 'archloom[drawing]'" in said.err
