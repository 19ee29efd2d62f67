"""Searches on data that lie under the operator's roots: arrays in a file, images in a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from archloom.client import Client
from archloom.spec import ExperimentSpec
from archloom_local.stack import LocalStack
from command_line import archloom
from PIL import Image
from searches import digits_space, ended
from sklearn.datasets import load_digits

CLASSES = 3
Images = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


@pytest.fixture(scope="module")
def images() -> Images:
    """The digits 0, 1 and 2: [n, 8, 8] with values from 0 to 16, and [n]."""
    digits = load_digits()
    chosen = digits.target < CLASSES
    return digits.images[chosen], digits.target[chosen]


def spec_of(dataset: str, classes: int, **changes: Any) -> dict[str, Any]:
    return {
        "name": "data of one's own",
        "task": {"kind": "classification", "dataset": dataset, "settings": {"classes": classes}},
        "space": digits_space(),
        "objectives": [{"maximize": "val_accuracy"}, {"minimize": "parameters"}],
        "strategy": "random",
        "evaluator": {"kind": "train", "settings": {"batch_size": 32}},
        "budget": {"trials": 3},
        "parallelism": 2,
        "fidelity": {"epochs": 3},
        "control": "none",
        "seed": 1,
        **changes,
    }


def test_a_search_on_arrays_ends_with_an_exported_model(
    stack: LocalStack,
    client: Client,
    data_root: Path,
    tmp_path: Path,
    images: Images,
) -> None:
    np.savez(data_root / "three.npz", x=images[0], y=images[1])
    finalists = {"count": 1, "seeds": 1, "fidelity": {"epochs": 8}, "exports": ["onnx"]}
    (tmp_path / "spec.json").write_text(
        json.dumps(spec_of(f"npz:{data_root / 'three.npz'}", CLASSES, finalists=finalists))
    )
    out = tmp_path / "out"
    ran = archloom("run", tmp_path / "spec.json", "--out", out, environment=stack.environment)
    assert ran.returncode == 0, ran.stderr + ran.stdout
    result = json.loads((out / "result.json").read_text())
    assert result["state"] == "succeeded"
    assert result["test"]["examples"] == sum(round(0.2 * sum(images[1] == label)) for label in range(CLASSES))
    assert result["test"]["value"] > 0.6  # chance is a third
    # The controller counts the network with the head that the worker builds.
    assert result["network"]["parameters"] == result["winner"]["metrics"]["parameters"]
    session = onnxruntime.InferenceSession(out / "model.onnx", providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    (scores,) = session.run(None, {given.name: images[0][:5, None].astype(np.float32)})
    assert scores.shape == (5, CLASSES)


def test_a_search_on_a_folder_of_images(client: Client, data_root: Path, images: Images) -> None:
    for number, (image, label) in enumerate(zip(*images, strict=True)):
        folder = data_root / "pictures" / f"digit{label}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray((image * 15).astype(np.uint8)).save(folder / f"{number}.png")
    name = client.experiments.create(
        ExperimentSpec.from_dict(spec_of(f"folder:{data_root / 'pictures'}", CLASSES))
    ).name
    assert ended(client, name).state == "succeeded"
    trials = list(client.trials.list(name))
    assert [trial.state for trial in trials] == ["completed"] * 3
    assert max(trial.metrics["val_accuracy"] for trial in trials) > 0.5


def test_other_classes_than_the_data_have_are_told_by_the_worker(
    client: Client, data_root: Path, images: Images
) -> None:
    """The controller reads no data: it takes the spec's word, and the worker checks it."""
    np.savez(data_root / "told-wrong.npz", x=images[0], y=images[1])
    name = client.experiments.create(
        ExperimentSpec.from_dict(spec_of(f"npz:{data_root / 'told-wrong.npz'}", 4))
    ).name
    ended(client, name)
    for trial in client.trials.list(name):
        assert trial.state == "failed"
        assert trial.failure is not None
        assert trial.failure.reason == "data"
        assert "task.settings.classes says 4" in trial.failure.message
        assert trial.failure.message.endswith("has 3")
