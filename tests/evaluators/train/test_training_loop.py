"""The training loop on real digits: it learns, resumes bit for bit, and ends early when it must."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
import torch
from archloom_evaluators.data import digits
from archloom_evaluators.evaluator import Artifact
from archloom_evaluators.failures import AttemptYielded, EvaluationFailure, Reason
from archloom_evaluators.train.checkpoint import Checkpoint, restore_model
from archloom_evaluators.train.config import Augmentation, TrainConfig, configure
from archloom_evaluators.train.loop import TrainingData, schedule, train
from archloom_evaluators.train.model import tensors, training_data
from torch import nn

CPU = torch.device("cpu")


class Recorder:
    """A run that keeps what it is told, and yields after ``yield_after`` steps."""

    elapsed_seconds = 0.0

    def __init__(self, yield_after: int = 10**9) -> None:
        self.left = yield_after
        self.curve: list[tuple[float, dict[str, float]]] = []
        self.checkpoints: list[bytes] = []

    def advance(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise AttemptYielded("test")

    def pause(self, seconds: float) -> None:
        raise NotImplementedError

    def measure(self, progress: float, metrics: Mapping[str, float]) -> None:
        self.curve.append((progress, dict(metrics)))

    def checkpoint(self, data: bytes) -> None:
        self.checkpoints.append(data)

    def upload(self, data: bytes, kind: str, media_type: str, file_name: str) -> Artifact:
        raise NotImplementedError

    def download(self, artifact: Artifact) -> bytes:
        raise NotImplementedError


@pytest.fixture(scope="module")
def data() -> TrainingData:
    torch.set_num_threads(1)
    return training_data(digits.load(), 0.0, 0, CPU)


def network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.Flatten(),
        nn.Linear(256, 10),
    )


def test_a_small_network_learns_digits(data: TrainingData) -> None:
    run = Recorder()
    config = TrainConfig(lr=0.01, augmentation=Augmentation(rotate_degrees=5.0))
    trained = train(network(1), data, config, 12, 1, run)
    assert trained.metrics["val_accuracy"] > 0.9
    assert [progress for progress, _ in run.curve] == list(range(1, 13))
    assert run.curve[0][1]["val_loss"] > run.curve[-1][1]["val_loss"]
    assert trained.metrics == run.curve[-1][1]


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("steps", [16, 23, 41])
def test_resuming_gives_the_same_weights_bit_for_bit(data: TrainingData, optimizer: str, steps: int) -> None:
    """16 steps are an epoch: one stop at its end, two in the middle of one."""
    config = TrainConfig(optimizer=optimizer, lr=0.01, augmentation={"cutout": 0.3})  # type: ignore[arg-type]
    unbroken = Recorder()
    whole = train(network(1), data, config, 4, 7, unbroken)

    broken = Recorder(yield_after=steps)
    with pytest.raises(AttemptYielded):
        train(network(1), data, config, 4, 7, broken)
    resumed = Recorder()
    checkpoint = Checkpoint.from_bytes(broken.checkpoints[-1])
    assert (checkpoint.position.epoch, checkpoint.position.batch) == divmod(steps, 16)
    # Other initial weights: everything must come out of the checkpoint.
    parts = train(network(2), data, config, 4, 7, resumed, resume=checkpoint)

    for name, value in whole.checkpoint.model.items():
        assert torch.equal(value, parts.checkpoint.model[name]), name
    assert whole.metrics == parts.metrics
    assert broken.curve + resumed.curve == unbroken.curve


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_rung_is_the_beginning_of_the_whole(data: TrainingData, optimizer: str) -> None:
    """Two epochs, then promoted to five: the same weights, curve and learning rates as five at once."""
    config = TrainConfig(optimizer=optimizer, lr=0.01)  # type: ignore[arg-type]
    unbroken = Recorder()
    whole = train(network(1), data, config, 5, 7, unbroken)

    low, high = Recorder(), Recorder()
    rung = train(network(1), data, config, 2, 7, low, schedule_epochs=5)
    checkpoint = Checkpoint.from_bytes(rung.checkpoint.to_bytes())
    assert checkpoint.position.epoch == 2
    promoted = train(network(2), data, config, 5, 7, high, checkpoint, schedule_epochs=5)

    assert all(
        torch.equal(value, promoted.checkpoint.model[name]) for name, value in whole.checkpoint.model.items()
    )
    assert [progress for progress, _ in high.curve] == [3, 4, 5]
    assert low.curve + high.curve == unbroken.curve
    # By a schedule of its own it would have come to rest.
    rested = train(network(1), data, config, 2, 7, Recorder())
    assert rested.metrics != rung.metrics


def test_the_seed_decides_the_run(data: TrainingData) -> None:
    config = TrainConfig(lr=0.01)
    runs = [train(network(1), data, config, 1, seed, Recorder()).checkpoint.model for seed in (3, 3, 4)]
    assert all(torch.equal(runs[0][name], runs[1][name]) for name in runs[0])
    assert any(not torch.equal(runs[0][name], runs[2][name]) for name in runs[0])


def confidence(config: TrainConfig, data: TrainingData) -> float:
    """Mean probability of what a network says after its training, on the validation part."""
    model = network(1)
    train(model, data, config, 10, 1, Recorder())
    with torch.inference_mode():
        return float(model(data.validation_inputs).softmax(dim=1).amax(dim=1).mean())


def test_label_smoothing_makes_a_network_less_sure(data: TrainingData) -> None:
    sure = confidence(TrainConfig(lr=0.01, augment=False), data)
    smoothed = confidence(TrainConfig(lr=0.01, augment=False, label_smoothing=0.5), data)
    assert sure > 0.9
    # The best answer to targets of 0.55 and nine times 0.05 is 0.55.
    assert smoothed < 0.7


def step_length(clip_norm: float, data: TrainingData) -> float:
    """How far plain gradient descent goes in its one step of one epoch, all examples in a batch."""
    config = TrainConfig(
        optimizer="sgd",
        lr=1.0,
        momentum=0.0,
        weight_decay=0.0,
        warmup=0.0,
        batch_size=65_536,
        augment=False,
        clip_norm=clip_norm,
        divergence_factor=1e6,
    )
    model = network(1)
    before = [value.detach().clone() for value in model.parameters()]
    train(model, data, config, 1, 1, Recorder())
    moved = [after.detach() - value for after, value in zip(model.parameters(), before, strict=True)]
    return float(torch.cat([value.flatten() for value in moved]).norm())


def test_clipping_shortens_the_gradient_to_its_norm(data: TrainingData) -> None:
    free = step_length(0.0, data)
    assert free > 0.2
    assert step_length(0.1, data) == pytest.approx(0.1, rel=1e-3)
    assert step_length(100.0, data) == pytest.approx(free)


def test_checkpoints_come_at_least_every_so_many_epochs(data: TrainingData) -> None:
    run = Recorder()
    config = TrainConfig(checkpoint_epochs=2, checkpoint_seconds=1e6)
    train(network(1), data, config, 5, 1, run)
    epochs = [Checkpoint.from_bytes(saved).position.epoch for saved in run.checkpoints]
    assert epochs == [2, 4]


def test_a_loss_that_is_no_number_is_diverged(data: TrainingData) -> None:
    class Wild(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(64, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            scores: torch.Tensor = self.linear(x.flatten(1)) * math.inf
            return scores

    with pytest.raises(EvaluationFailure) as caught:
        train(Wild(), data, TrainConfig(), 1, 1, Recorder())
    assert caught.value.reason is Reason.DIVERGED


def test_a_loss_far_above_guessing_is_diverged_early(data: TrainingData) -> None:
    run = Recorder()
    config = TrainConfig(optimizer="sgd", lr=100.0, momentum=0.0, warmup=0.0, clip_norm=0.0)
    with pytest.raises(EvaluationFailure) as caught:
        train(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), data, config, 50, 1, run)
    assert caught.value.reason is Reason.DIVERGED
    assert len(run.curve) < 10


def test_the_schedule_rises_then_falls_to_zero() -> None:
    rates = [schedule(step, 100, 0.1) for step in range(100)]
    assert rates.index(max(rates)) == 10
    assert rates == sorted(rates[:10]) + sorted(rates[10:], reverse=True)
    assert 0 < rates[0] < 0.2
    assert rates[-1] < 0.001


def test_a_foreign_checkpoint_is_refused(data: TrainingData) -> None:
    trained = train(network(1), data, TrainConfig(), 1, 1, Recorder())
    kept = Checkpoint.from_bytes(trained.checkpoint.to_bytes())
    with pytest.raises(EvaluationFailure) as caught:
        restore_model(nn.Linear(3, 3), kept)
    assert caught.value.reason is Reason.CANNOT_BUILD
    for junk in (b"", b"junk" * 100, trained.checkpoint.to_bytes()[:-5]):
        with pytest.raises(EvaluationFailure) as caught:
            Checkpoint.from_bytes(junk)
        assert caught.value.reason is Reason.DATA


def test_recipe_decisions_override_the_settings() -> None:
    config = configure({"lr": 0.5, "batch_size": 32.0}, {"lr": 0.25, "optimizer": "sgd"})
    assert (config.lr, config.batch_size, config.optimizer) == (0.25, 32, "sgd")
    with pytest.raises(EvaluationFailure) as caught:
        configure({}, {"lr": -1.0})
    assert caught.value.reason is Reason.CANNOT_BUILD
    assert "space.recipe.lr" in caught.value.message
    with pytest.raises(EvaluationFailure) as caught:
        configure({"learning_rate": 1.0}, {})
    assert caught.value.reason is Reason.DATA


def test_a_fraction_takes_the_same_share_of_each_class() -> None:
    dataset = digits.load()
    half, again = (training_data(dataset, 0.5, 9, CPU) for _ in range(2))
    _, whole_targets = tensors(dataset.train, CPU)
    assert torch.equal(half.train_inputs, again.train_inputs)
    counts = torch.bincount(half.train_targets).tolist()
    assert counts == [round(count / 2) for count in torch.bincount(whole_targets).tolist()]
