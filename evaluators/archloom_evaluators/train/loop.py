"""The training loop, from top to bottom in one place."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from archloom_evaluators.evaluator import Run
from archloom_evaluators.failures import AttemptYielded, EvaluationFailure, Reason
from archloom_evaluators.train.augment import augment
from archloom_evaluators.train.checkpoint import (
    Checkpoint,
    Position,
    capture,
    restore_model,
    restore_optimizer,
)
from archloom_evaluators.train.config import TrainConfig
from archloom_evaluators.train.randomness import epoch_order, generator, seed_torch
from archloom_evaluators.train.task import Classification, score

#: Early check: the mean loss over this many steps is compared with that of guessing.
DIVERGENCE_STEPS = 20


@dataclass(frozen=True)
class TrainingData:
    """Tensors on the device.

    Inputs [n, ...], targets [n]; ``allowed`` are the augmentations that keep the class.
    """

    train_inputs: torch.Tensor
    train_targets: torch.Tensor
    validation_inputs: torch.Tensor
    validation_targets: torch.Tensor
    classes: int
    allowed: frozenset[str]


@dataclass(frozen=True)
class Trained:
    """The last epoch's numbers, and the final state."""

    metrics: dict[str, float]
    checkpoint: Checkpoint


def train(
    model: torch.nn.Module,
    data: TrainingData,
    config: TrainConfig,
    epochs: int,
    seed: int,
    run: Run,
    resume: Checkpoint | None = None,
    schedule_epochs: int = 0,
    monotonic: Callable[[], float] = time.monotonic,
) -> Trained:
    """Trains ``model`` in place for ``epochs`` epochs in all.

    The learning rate follows the schedule of ``schedule_epochs`` where those are more: what stops short of
    them goes on later as if it had not stopped.
    Going on from a checkpoint gives, on one platform, the same weights bit for bit as never having stopped.
    Raises EvaluationFailure with DIVERGED, and what ``run.advance`` raises; on a yield a checkpoint is
    stored first.
    """
    task = Classification(config.label_smoothing)
    optimizer = make_optimizer(model, config)
    position = Position()
    if resume is not None:
        restore_model(model, resume)
        restore_optimizer(optimizer, resume)
        position = resume.position
    examples, device = len(data.train_targets), data.train_inputs.device
    batch_size = min(config.batch_size, examples)
    batches = examples // batch_size
    scheduled = max(epochs, schedule_epochs) * batches
    half = config.mixed_precision and device.type == "cuda" and torch.cuda.is_bf16_supported()
    watch = DivergenceWatch(config.divergence_factor * math.log(data.classes))
    saved_at, saved_epoch = monotonic(), position.epoch
    metrics: dict[str, float] = {}

    while position.epoch < epochs:
        began, order = monotonic(), epoch_order(examples, seed, position.epoch)
        model.train()
        for batch in range(position.batch, batches):
            try:
                run.advance()
            except AttemptYielded:
                spent = position.train_seconds + monotonic() - began
                run.checkpoint(capture(model, optimizer, replace(position, train_seconds=spent)).to_bytes())
                raise
            step = position.epoch * batches + batch
            set_learning_rate(optimizer, config.lr * schedule(step, scheduled, config.warmup))
            chosen = order[batch * batch_size : (batch + 1) * batch_size].to(device)
            inputs, targets = data.train_inputs[chosen], data.train_targets[chosen]
            seed_torch(seed, "step", step)
            if config.augment:
                draws = generator(seed, "augment", step)
                inputs = augment(inputs, config.augmentation, data.allowed, draws)
            with torch.autocast(device.type, torch.bfloat16, enabled=half):
                loss = task.loss(model(inputs), targets)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            if config.clip_norm:
                torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
            optimizer.step()
            value = float(loss.detach())
            watch.see(value, step)
            position = replace(
                position,
                batch=batch + 1,
                loss_sum=position.loss_sum + value,
                loss_count=position.loss_count + 1,
            )
        position = Position(
            epoch=position.epoch + 1,
            train_seconds=position.train_seconds + monotonic() - began,
            train_loss=position.loss_sum / max(position.loss_count, 1),
        )
        metrics = evaluate(model, task, data, config, position)
        run.measure(float(position.epoch), metrics)
        due = monotonic() - saved_at >= config.checkpoint_seconds
        due = due or position.epoch - saved_epoch >= config.checkpoint_epochs
        if due and position.epoch < epochs:
            run.checkpoint(capture(model, optimizer, position).to_bytes())
            saved_at, saved_epoch = monotonic(), position.epoch

    metrics = metrics or evaluate(model, task, data, config, position)
    return Trained(metrics, capture(model, optimizer, position))


def evaluate(
    model: torch.nn.Module,
    task: Classification,
    data: TrainingData,
    config: TrainConfig,
    position: Position,
) -> dict[str, float]:
    """The numbers of the curve after an epoch.

    Raises EvaluationFailure with DIVERGED when the loss is not finite.
    """
    scores = score(model, task, data.validation_inputs, data.validation_targets, config.evaluation_batch_size)
    if not math.isfinite(scores.loss):
        raise EvaluationFailure(Reason.DIVERGED, "the validation loss is not a finite number")
    return {**task.metrics("val", scores), "train_loss": position.train_loss}


def make_optimizer(model: torch.nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW or SGD; weight decay spares vectors (norms and biases)."""
    matrices = [value for value in model.parameters() if value.ndim > 1]
    vectors = [value for value in model.parameters() if value.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    if config.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=config.lr)
    return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, nesterov=config.momentum > 0)


def schedule(step: int, steps: int, warmup: float) -> float:
    """Share of the peak learning rate.

    A linear rise over the first ``warmup`` of the steps, then half a cosine to zero.
    """
    rise = warmup * steps
    if step < rise:
        return (step + 1) / (rise + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(steps - rise, 1)))


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


class DivergenceWatch:
    """Ends a run whose loss is not a number, or stays far above that of guessing."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._sum = 0.0
        self._count = 0

    def see(self, loss: float, step: int) -> None:
        """Raises EvaluationFailure with DIVERGED."""
        if not math.isfinite(loss):
            raise EvaluationFailure(Reason.DIVERGED, f"the loss is {loss} at step {step}")
        self._sum += loss
        self._count += 1
        if self._count == DIVERGENCE_STEPS:
            mean = self._sum / self._count
            # The first steps of a fresh network may be wild; they still have to come down below this.
            if mean > self._limit and step >= 2 * DIVERGENCE_STEPS:
                raise EvaluationFailure(
                    Reason.DIVERGED, f"a mean loss of {mean:.3g} at step {step}, far above guessing"
                )
            self._sum, self._count = 0.0, 0
