"""The check of an export against torch, latency, memory, and the augmentation of a batch."""

from __future__ import annotations

import itertools
import mmap

import numpy as np
import pytest
import torch
from archloom_evaluators.failures import EvaluationFailure
from archloom_evaluators.train.augment import augment
from archloom_evaluators.train.config import Augmentation
from archloom_evaluators.train.export import compare, onnx, weights
from archloom_evaluators.train.measure import PeakMemory, time_calls
from safetensors.torch import load
from torch import nn

SCORES = np.array([[3.0, 1.0, 0.0], [0.0, 0.2, 5.0]], np.float32)
EVERYTHING = frozenset({"shift", "rotate", "flip"})


def test_small_differences_pass_and_are_told() -> None:
    assert compare(SCORES, SCORES) == 0.0
    assert compare(SCORES, SCORES + np.float32(1e-4)) == pytest.approx(1e-4, rel=0.1)


@pytest.mark.parametrize(
    "found",
    [SCORES + 0.1, SCORES * np.nan, SCORES[:, ::-1], SCORES[:1]],
    ids=["far", "nan", "order", "shape"],
)
def test_an_export_that_answers_otherwise_is_refused(found: np.ndarray) -> None:
    with pytest.raises(EvaluationFailure):
        compare(SCORES, found)


def test_a_tie_may_fall_either_way() -> None:
    tied = np.array([[1.0, 1.0 + 1e-5]], np.float32)
    assert compare(tied, tied[:, ::-1]) < 1e-4


def test_onnx_of_a_network_with_norm_and_dropout() -> None:
    torch.manual_seed(1)
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(144, 3)
    )
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    made = onnx(network, torch.randn(16, 1, 8, 8), latency_batch=1, runs=5)
    assert made.difference < 1e-4
    assert made.latency.median_ms > 0
    kept = load(weights(network))
    assert all(torch.equal(kept[name], value) for name, value in network.state_dict().items())


def test_latency_is_the_median_and_the_quartiles_distance() -> None:
    # Each call reads the clock twice; the five calls take 1, 2, 3, 4 and 100 ms.
    ticks = iter(itertools.accumulate([0, 0.001, 0, 0.002, 0, 0.003, 0, 0.004, 0, 0.1]))
    latency = time_calls(lambda: None, 5, clock=lambda: next(ticks))
    assert latency.median_ms == pytest.approx(3)
    assert latency.spread_ms == pytest.approx(2)


def test_peak_memory_sees_what_was_used_meanwhile() -> None:
    memory = PeakMemory(torch.device("cpu"))
    before = memory.read_mb()
    # A mapping of its own: a tensor might take what this process has used and freed before.
    with mmap.mmap(-1, 64 * 2**20) as used:
        for page in range(0, len(used), mmap.PAGESIZE):
            used[page] = 1
    peak = memory.read_mb()
    assert peak > before + 48
    # Another trial begins from what is in use then.
    assert PeakMemory(torch.device("cpu")).read_mb() < peak


def test_augmentation_is_a_function_of_the_generator() -> None:
    images = torch.randn(8, 3, 16, 16)
    draws = [augment(images, Augmentation(), EVERYTHING, torch.Generator().manual_seed(s)) for s in (1, 1, 2)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert draws[0].shape == images.shape


def test_augmentation_does_only_what_the_data_set_allows() -> None:
    images = torch.randn(32, 1, 12, 12)
    generator = torch.Generator().manual_seed(1)
    assert torch.equal(augment(images, Augmentation(), frozenset(), generator), images)
    flipped = augment(images, Augmentation(), frozenset({"flip"}), generator)
    same = [torch.allclose(a, b, atol=1e-5) for a, b in zip(flipped, images, strict=True)]
    mirrored = [torch.allclose(a, b.flip(-1), atol=1e-5) for a, b in zip(flipped, images, strict=True)]
    assert all(a != b for a, b in zip(same, mirrored, strict=True))
    assert 8 <= sum(mirrored) <= 24
    vectors = torch.randn(4, 7)
    assert augment(vectors, Augmentation(), EVERYTHING, generator) is vectors


def test_cutout_sets_a_square_to_the_mean() -> None:
    cut = augment(
        torch.ones(64, 1, 20, 20), Augmentation(cutout=0.5), frozenset(), torch.Generator().manual_seed(3)
    )
    holes = (cut == 0).flatten(1).sum(dim=1)
    assert int(holes.max()) == 100
    assert int(holes.min()) >= 25
