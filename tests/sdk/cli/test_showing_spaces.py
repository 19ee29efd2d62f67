"""`archloom spaces list` and `show`, as a newcomer reads them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from archloom.cli import main
from archloom.cli.space_decisions import decision_rows
from archloom.space import Space, load_preset, preset_names


@pytest.fixture(autouse=True)
def _of_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ARCHLOOM_SERVER", raising=False)
    monkeypatch.setenv("COLUMNS", "80")


def test_the_presets_are_listed_without_a_server(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["spaces", "list"]) == 0
    shown = capfd.readouterr().out
    assert all(f"\n{name} " in shown for name in preset_names())
    assert "archloom spaces show NAME" in shown
    assert main(["spaces", "list", "--json"]) == 0
    found = {each["name"]: each for each in json.loads(capfd.readouterr().out)}
    assert found["nasbench201"]["size"] == 15_625
    assert found["nasbench201"]["decisions"] == 6
    assert all(each["summary"] for each in found.values())


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_shown_in_80_columns(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["spaces", "show", name]) == 0
    shown = capfd.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    for word in ("architectures", "Decisions", "Tree", "An example", "PARAMETERS", "the whole"):
        assert word in shown


def test_a_space_is_shown_with_size_decisions_tree_and_example(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["spaces", "show", "mlp", "--seed", "3"]) == 0
    shown = capfd.readouterr().out
    assert "1.60e12 (1,599,188,083,680) architectures, 2 floats apart" in shown
    assert "hidden[i=0..4].dense.out" in shown
    assert "if count > i" in shown
    assert "└── drop: dropout p={0, 0.1, 0.3, 0.5}" in shown
    assert "An example (--seed 3)" in shown
    assert main(["spaces", "show", "mlp", "--seed", "3"]) == 0
    assert capfd.readouterr().out == shown


def test_without_a_terminal_paths_stay_whole_and_the_recipe_is_last(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COLUMNS")
    assert main(["spaces", "show", "text_encoder"]) == 0
    lines = capfd.readouterr().out.splitlines()
    shown = [line.split()[0] for line in lines[: lines.index("Tree")] if line.strip()]
    rows = [row.path for row in decision_rows(load_preset("text_encoder").decisions())]
    recipe = [path for path in rows if path.startswith("recipe.")]
    assert recipe
    assert shown[-len(rows) :] == [path for path in rows if path not in recipe] + recipe


def test_a_space_without_an_architecture_that_keeps_its_constraint(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tight.yaml").write_text(
        "input: {x: {kind: vector, shape: [4]}}\n"
        "body: {layer: linear, out: {choice: [2, 3]}}\nconstraints: [params < 3]\n"
    )
    assert main(["spaces", "show", str(tmp_path / "tight.yaml")]) == 0
    shown = capfd.readouterr().out
    assert "constraint" in shown
    assert "params < 3" in shown


def test_decisions_that_differ_in_numbers_alone_are_one_row() -> None:
    choice = {"choice": [1, 2]}
    space = Space.from_dict(
        {
            "input": {"x": {"kind": "vector", "shape": [4]}},
            "body": {
                "name": "outer",
                "repeat": {
                    "count": {"int": [2, 3]},
                    "decisions": "free",
                    "body": {
                        "choice": {
                            "wide": {"layer": "linear", "out": choice},
                            "deep": {"repeat": {"count": choice, "decisions": "free", "body": {
                                "layer": "linear", "out": choice}}},
                        }
                    },
                },
            },
        }
    )  # fmt: skip
    rows = {row.path: row for row in decision_rows(space.decisions())}
    assert list(rows) == [
        "outer.count",
        "outer[i=0..2]",
        "outer[i=0..2].wide.out",
        "outer[i=0..2].deep.count",
        "outer[i=0..2].deep[j=0..1].out",
    ]
    assert rows["outer.count"].exists == "always"
    assert rows["outer[i=0..2]"].exists == "if count > i"
    assert rows["outer[i=0..2].wide.out"].exists == "if count > i and outer[i] is wide"
    assert rows["outer[i=0..2].deep[j=0..1].out"].number == 6
    assert rows["outer[i=0..2].deep[j=0..1].out"].exists == (
        "if count > i and outer[i] is deep and count > j"
    )


def test_when_a_decision_exists_is_told() -> None:
    body = {
        "sequence": [
            {"name": "first", "when": "deep or wide > 2", "layer": "linear", "out": {"int": [1, 3]}},
            {
                "name": "some",
                "layer": {"choice": ["linear", "dropout"]},
                "out": 3,
                "p": {"choice": [0.1, 0.2]},
            },
            {
                "repeat": {
                    "count": "=wide",
                    "decisions": "free",
                    "body": {"layer": "dropout", "p": {"float": [0, 0.5]}},
                }
            },
        ]
    }
    wide, deep = {"choice": [1, 2, 3]}, {"bool": [False, True]}
    space = Space.from_dict(
        {"let": {"wide": wide, "deep": deep}, "input": {"x": {"kind": "vector", "shape": [4]}}, "body": body}
    )
    rows = {row.path: (row.values, row.exists) for row in decision_rows(space.decisions())}
    assert rows["wide"] == ("1, 2, 3", "always")
    assert rows["deep"] == ("false, true", "always")
    assert rows["first.out"][1] == "if wide is 1 or 2 and deep is true or wide is 3"
    assert rows["some.p"] == ("0.1, 0.2", "if some.layer is dropout")
    assert rows["repeat[i=0..2].p"] == ("0 to 0.5", "if wide > i")


def test_a_size_of_thousands_of_digits_is_shown(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    values = [number / 100 for number in range(90)]
    drops = {
        "sequence": [{"name": f"drop{n}", "layer": "dropout", "p": {"choice": values}} for n in range(3)]
    }
    space = Space.from_dict(
        {
            "input": {"x": {"kind": "vector", "shape": [4]}},
            "body": {"name": "r", "repeat": {"count": 800, "decisions": "free", "body": drops}},
        }
    )
    (tmp_path / "large.yaml").write_text(space.to_yaml())
    assert main(["spaces", "show", str(tmp_path / "large.yaml")]) == 0
    shown = capfd.readouterr().out
    assert "1.52e4690 architectures" in shown
    assert "r[0..799].drop0.p" in shown
    assert "... and 2,388 more decisions" in " ".join(shown.split())
    assert "... and 761 more " in shown  # pieces of the network
    assert main(["spaces", "show", str(tmp_path / "large.yaml"), "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["size"] == 90**2400
