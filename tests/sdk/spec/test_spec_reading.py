from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from archloom.errors import InvalidInput
from archloom.space import Space
from archloom.spec import ExperimentSpec, Objective
from archloom.spec.reading import parse_text

GOOD: dict[str, Any] = {
    "task": {"dataset": "digits"},
    "space": "nasbench201",
    "objectives": [{"maximize": "val_accuracy"}],
    "strategy": "random",
    "budget": {"trials": 5},
}


def faults(data: object) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        ExperimentSpec.from_dict(data)
    return [str(each) for each in caught.value.violations]


def with_(**changes: Any) -> dict[str, Any]:
    return GOOD | changes


def test_the_least_spec_has_sensible_defaults() -> None:
    spec = ExperimentSpec.from_dict(GOOD)
    assert (spec.evaluator.kind, spec.evaluator.device_class, spec.evaluator.cache) == ("train", "cpu", True)
    assert spec.task.kind == "classification"
    assert spec.strategy.name == "random"
    assert spec.to_dict() == GOOD | {"strategy": {"name": "random"}}


def test_short_forms() -> None:
    spec = ExperimentSpec.from_dict(
        with_(
            objectives=[{"maximize": "val_accuracy"}, {"metric": "parameters", "goal": "minimize"}],
            constraints=["parameters<=1e5", " val_accuracy >= -0.5 "],
            control="equal",
            trial={"max_duration": "1h30m", "stall_timeout": 90},
        )
    )
    assert spec.objectives[1] == Objective(metric="parameters", goal="minimize")
    assert [(each.metric, each.comparison, each.bound) for each in spec.constraints] == [
        ("parameters", "at_most", 100000.0),
        ("val_accuracy", "at_least", -0.5),
    ]
    assert spec.control is not None
    assert spec.control.share == 0.5
    assert spec.trial is not None
    assert spec.trial.max_duration == timedelta(minutes=90)
    assert spec.trial.stall_timeout == timedelta(seconds=90)
    assert spec.to_dict()["constraints"] == ["parameters <= 100000", "val_accuracy >= -0.5"]
    assert spec.to_dict()["trial"] == {"max_duration": "1h30m", "stall_timeout": "1m30s"}


BAD: list[tuple[dict[str, Any], str]] = [
    (with_(nmae="x"), "nmae: is not a field (did you mean 'name'?)"),
    (with_(evaluator={"kid": "train"}), "evaluator.kid: is not a field (did you mean 'kind'?)"),
    (
        with_(finalists={"fidelity": {"epoch": 3}}),
        "finalists.fidelity.epoch: is not a field (did you mean 'epochs'?)",
    ),
    (with_(task={}), "task.dataset: is missing"),
    (with_(task=None), "task: must be a map of fields, not nothing"),
    (with_(objectives=[]), "objectives: needs at least 1"),
    (with_(objectives="val_accuracy"), "objectives: must be a list, not 'val_accuracy'"),
    (
        with_(objectives=["val_accuracy"]),
        "objectives[0]: say which way is better: {maximize: val_accuracy} or {minimize: val_accuracy}",
    ),
    (
        with_(objectives=[{"maximize": "a", "minimize": "b"}]),
        "objectives[0]: names one metric: {maximize: val_accuracy} or {minimize: parameters}",
    ),
    (
        with_(objectives=[{"maximize": "a"}, {"minimize": "a"}]),
        "objectives: a: named by two objectives",
    ),
    (
        with_(objectives=[{"maximize": "Val Acc"}]),
        "objectives[0].metric: 'Val Acc' is not a name: use a lower-case letter, then lower-case letters, "
        "digits and '_', at most 63",
    ),
    (with_(constraints=["parameters < 5"]), "constraints[0]: compare with <= or >=, not <"),
    (with_(constraints=["small"]), "constraints[0]: 'small' is not a limit: write 'parameters <= 100000'"),
    (with_(constraints=["parameters <= many"]), "constraints[0]: 'many' is not a number"),
    (with_(constraints=["parameters <= nan"]), "constraints[0].bound: must be a finite number, not nan"),
    (with_(budget={"trials": 0}), "budget.trials: must be at least 1, not 0"),
    (with_(budget={"trials": 2.5}), "budget.trials: must be a whole number, not 2.5"),
    (with_(budget={"trials": "20"}), "budget.trials: must be a whole number, not '20'"),
    (with_(budget={"trials": True}), "budget.trials: must be a whole number, not true"),
    (
        with_(budget={"trials": 1, "device_seconds": float("inf")}),
        "budget.device_seconds: must be a finite number, not inf",
    ),
    (
        with_(budget={"trials": 1, "device_seconds": 60}),
        "budget.device_seconds needs trial.max_duration: it is what a trial reserves",
    ),
    (with_(control={"share": 0.7}), "control.share: must be at most 0.5, not 0.7"),
    (with_(control="half"), "control: 'half' is not a control: write {share: 0.1}, equal or none"),
    (
        with_(trial={"max_duration": "5x"}),
        "trial.max_duration: '5x' is not a duration: write 5m, 90s or 1h30m",
    ),
    (with_(trial={"max_duration": -1}), "trial.max_duration: must be between 0 and 3650 days"),
    (with_(trial={"max_duration": "9" * 90 + "d"}), "trial.max_duration: must be between 0 and 3650 days"),
    (
        with_(fidelity={"epochs": 1, "proxies": ["a"]}),
        "fidelity: either epochs or proxies: a proxy scores a network without training it",
    ),
    (with_(labels={"a": 1}), "labels.a: must be text, not 1"),
    (with_(labels={1: "a"}), "labels.1: the key 1 is not text"),
    (with_(seed=2**63), f"seed: must be at most {2**63 - 1}, not {2**63}"),
    (
        with_(strategy={"name": "x", "settings": {"lr": [1, {"a": float("nan")}]}}),
        "strategy.settings.lr[1].a: must be a finite number, not nan",
    ),
    (
        with_(strategy={"name": "x", "settings": {"n": 2**60}}),
        f"strategy.settings: {2**60} is too large for a number: write it as text",
    ),
    (with_(space="No such"), "space: 'No such' is not a preset's name, such as nasbench201"),
    (with_(space=7), "space: must be a preset's name, {file: PATH} or a tree of nodes, not 7"),
    (
        with_(space={"file": "missing.yaml"}),
        "space.file: missing.yaml cannot be read: No such file or directory",
    ),
]


@pytest.mark.parametrize(
    ("data", "fault"), BAD, ids=[fault.partition(":")[0] + f"-{n}" for n, (_, fault) in enumerate(BAD)]
)
def test_a_fault_is_told_with_its_path(data: dict[str, Any], fault: str) -> None:
    assert faults(data) == [fault]


def test_all_faults_are_told_at_once() -> None:
    space = {
        "input": {"x": {"kind": "image", "shape": [1, 8, 8]}},
        "body": {"layer": "convv", "k": {"choice": []}},
    }
    found = faults(
        with_(space=space, budget={"trials": 0}, evaluator={"kind": 3}, strategy={"nme": "random"})
    )
    paths = [each.partition(":")[0] for each in found]
    assert {"budget.trials", "evaluator.kind", "strategy.nme", "strategy.name"} <= set(paths)
    assert any(path.startswith("space.body") for path in paths)


@pytest.mark.parametrize("data", [None, [], "text", 5])
def test_a_spec_is_a_map(data: object) -> None:
    assert "a spec is a map of fields" in faults(data)[0]


def load(tmp_path: Path, text: str, name: str = "spec.yaml") -> ExperimentSpec:
    (tmp_path / name).write_text(text, encoding="utf-8")
    return ExperimentSpec.load(tmp_path / name)


def test_a_file_in_yaml_or_json_reads_alike(tmp_path: Path) -> None:
    first = load(tmp_path, yaml.safe_dump(GOOD))
    assert first == load(tmp_path, json.dumps(GOOD), "spec.json")
    assert first == ExperimentSpec.from_dict(GOOD)


def test_a_spaces_file_is_found_beside_the_spec(tmp_path: Path, space: Space) -> None:
    (tmp_path / "spaces").mkdir()
    (tmp_path / "spaces" / "mine.yaml").write_text(space.to_yaml())
    spec = load(tmp_path, yaml.safe_dump(with_(space={"file": "spaces/mine.yaml"})))
    assert isinstance(spec.space, Space)
    assert spec.space.digest == space.digest


def test_faults_of_a_spaces_file_name_it(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("body: {layer: conv}\n")
    with pytest.raises(InvalidInput) as caught:
        load(tmp_path, yaml.safe_dump(with_(space={"file": "mine.yaml"})))
    assert all(each.field.startswith("space.") for each in caught.value.violations)
    assert all(each.message.endswith("(in mine.yaml)") for each in caught.value.violations)


def _deep_json() -> str:
    return json.dumps(GOOD)[:-1] + ', "labels": ' + "[" * 100_000 + "]" * 100_000 + "}"


HOSTILE = {
    "deep.yaml": yaml.safe_dump(GOOD) + "labels: " + "{a: " * 1000 + "1" + "}" * 1000,
    "deep-block.yaml": yaml.safe_dump(GOOD) + "labels:\n" + "".join(" " * n + "a:\n" for n in range(1, 1000)),
    "bomb.yaml": "a: &a0 [x, x]\n" + "".join(f"b{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40)),
    "loop.yaml": "labels: &a [*a]\n",
    "deep.json": _deep_json(),
    "large.yaml": "name: " + "x" * 5_000_000,
    "object.yaml": "name: !!python/object/apply:os.system [id]\n",
    "latin.yaml": "name: caf\u00e9\n",
    "twice.yaml": yaml.safe_dump(GOOD) + "seed: 1\nseed: 2\n",
    "twice.json": '{"seed": 1, "seed": 2}',
    "broken.yaml": "task: {a: ]",
    "broken.json": '{"task": ',
    "digits.json": '{"seed": ' + "9" * 5000 + "}",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused(name: str, tmp_path: Path) -> None:
    encoding = "latin-1" if name == "latin.yaml" else "utf-8"
    (tmp_path / name).write_text(HOSTILE[name], encoding=encoding)
    with pytest.raises(InvalidInput) as caught:
        ExperimentSpec.load(tmp_path / name)
    assert all(len(each.message) < 300 for each in caught.value.violations)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        ExperimentSpec.load(tmp_path / "none.yaml")


EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_examples_are_good(path: Path) -> None:
    spec = ExperimentSpec.load(path)
    assert spec.name
    assert ExperimentSpec.from_dict(spec.to_dict()) == spec


def test_every_field_is_documented_and_the_documents_example_is_good() -> None:
    text = (Path(__file__).parents[3] / "docs" / "experiment-spec.md").read_text(encoding="utf-8")
    for name in ExperimentSpec.model_fields:
        assert f"`{name}`" in text
    example = text.partition("```yaml\n")[2].partition("```")[0]
    data = parse_text(example)
    assert isinstance(data, dict)
    assert ExperimentSpec.from_dict(data | {"space": "nasbench201"}).budget.trials == 20
