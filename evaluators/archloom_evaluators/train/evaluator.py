"""The ``train`` evaluator: what each role of trial asks for."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping

from archloom_evaluators.data.dataset import Dataset
from archloom_evaluators.data.paths import Roots
from archloom_evaluators.data.registry import load_dataset
from archloom_evaluators.evaluator import Artifact, EvaluatorInfo, Job, Outcome, Role, Run
from archloom_evaluators.failures import EvaluationFailure, Reason
from archloom_evaluators.scores import CATALOGUE, NAMES
from archloom_evaluators.settings import worker_settings
from archloom_evaluators.train.config import TrainConfig, configure

log = logging.getLogger("archloom.worker")

METRICS = (
    "val_accuracy",
    "val_loss",
    "train_loss",
    "parameters",
    "flops",
    "peak_memory_mb",
    "latency_ms",
    "latency_spread_ms",
    "train_seconds",
)
TEST_METRICS = ("test_accuracy", "test_loss", "test_examples")
EXPORTS = ("onnx",)


class TrainEvaluator:
    """Implements ``Evaluator``. Torch is imported when the first trial comes, never in the pool's parent."""

    def __init__(self, roots: Roots | None = None, threads: int | None = None) -> None:
        self._roots = roots
        self._threads = threads

    def describe(self) -> EvaluatorInfo:
        return EvaluatorInfo(
            kind="train",
            version="1",
            summary="Builds the architecture in torch, trains it and scores it on the validation split.",
            task_kinds=("classification",),
            metrics=METRICS,
            settings_schema=TrainConfig.model_json_schema(),
            exports=EXPORTS,
            fidelities=("epochs", "data_fraction"),
            recipe=True,
            proxies=CATALOGUE,
        )

    def evaluate(self, job: Job, run: Run) -> Outcome:
        context = job.context
        if context.task_kind != "classification":
            raise EvaluationFailure(Reason.DATA, f"train knows no task of kind {context.task_kind!r}")
        if 0 < job.fidelity.resolution_fraction < 1:
            raise EvaluationFailure(Reason.DATA, "train knows epochs and data_fraction, no other fidelity")
        self._prepare_torch()
        config = configure(context.evaluator_settings, _recipe(job))
        dataset = load_dataset(context.dataset, self._roots or worker_settings().roots)
        told = context.task_settings.get("classes", dataset.classes)
        if told != dataset.classes:
            message = f"task.settings.classes says {told:g}, {context.dataset!r} has {dataset.classes}"
            raise EvaluationFailure(Reason.DATA, message)
        if job.fidelity.proxies:
            return _score(job, run, config, dataset)
        if job.role is Role.TEST:
            return _test(job, run, config, dataset)
        if job.role is Role.EXPORT:
            return _export(job, run, config, dataset)
        return _train(job, run, config, dataset)

    def _prepare_torch(self) -> None:
        import torch

        torch.set_num_threads(self._threads or worker_settings().threads)
        # Warnings only: an operation of a user's own may have no deterministic form on a GPU.
        torch.use_deterministic_algorithms(True, warn_only=True)


def _recipe(job: Job) -> Mapping[str, object]:
    return dict(job.context.space.recipe(job.architecture))


def _score(job: Job, run: Run, config: TrainConfig, dataset: Dataset) -> Outcome:
    """Training-free scores of the fresh network; those it has none of are left out."""
    from archloom_evaluators.train.model import choose_device
    from archloom_evaluators.train.scoring import score

    unknown = [name for name in job.fidelity.proxies if name not in NAMES]
    if unknown:
        raise EvaluationFailure(Reason.DATA, f"train knows no proxy {unknown[0]!r}, only {', '.join(NAMES)}")
    scores, missing = score(job, run, dataset, choose_device(config), config.proxy_batch_size)
    reasons = "; ".join(f"no {name}: {reason}" for name, reason in missing.items())
    if not scores:
        raise EvaluationFailure(Reason.CANNOT_BUILD, reasons)
    if missing:
        log.info("%s attempt %d: %s", job.trial, job.attempt, reasons)
    return Outcome(scores)


def _train(job: Job, run: Run, config: TrainConfig, dataset: Dataset) -> Outcome:
    from archloom_evaluators.train.checkpoint import Checkpoint
    from archloom_evaluators.train.loop import train
    from archloom_evaluators.train.measure import PeakMemory, model_latency
    from archloom_evaluators.train.model import build_network, choose_device, training_data

    device = choose_device(config)
    memory = PeakMemory(device)
    network = build_network(job, dataset, device)
    # The subset of a fraction belongs to the data set, not to the trial: trials of one fidelity must be
    # comparable.
    subset_seed = int.from_bytes(hashlib.sha256(dataset.digest.encode()).digest()[:4], "big")
    data = training_data(dataset, job.fidelity.data_fraction, subset_seed, device)
    resume = Checkpoint.from_bytes(run.download(job.checkpoint)) if job.checkpoint else None
    if resume is not None:
        log.info("%s attempt %d: goes on after epoch %d", job.trial, job.attempt, resume.position.epoch)
    epochs = job.fidelity.epochs or config.epochs
    # A finalist's training is its own; a search trial may be the beginning of one of the full fidelity.
    whole = 0 if job.role is Role.FINALIST else _whole_epochs(job, config)
    trained = train(network.module, data, config, epochs, job.seed, run, resume, whole)
    peak_memory_mb = memory.read_mb()
    run.checkpoint(trained.checkpoint.to_bytes())
    latency = model_latency(
        network.module, data.validation_inputs[: config.latency_batch_size], config.latency_runs
    )
    return Outcome(
        {
            **trained.metrics,
            **network.metrics(),
            **latency.metrics(),
            "peak_memory_mb": peak_memory_mb,
            "train_seconds": trained.checkpoint.position.train_seconds,
        }
    )


def _whole_epochs(job: Job, config: TrainConfig) -> int:
    """Of the search's full fidelity."""
    return job.context.fidelity.epochs or config.epochs


def _test(job: Job, run: Run, config: TrainConfig, dataset: Dataset) -> Outcome:
    """Scores the finalist's weights on the test split, once opened by the lease's grant."""
    from archloom_evaluators.train.checkpoint import Checkpoint, restore_model
    from archloom_evaluators.train.model import build_network, choose_device, tensors
    from archloom_evaluators.train.task import Classification, score

    split = dataset.test(job.test_grant)
    network = build_network(job, dataset, choose_device(config))
    restore_model(network.module, Checkpoint.from_bytes(run.download(_weights_of(job))))
    inputs, targets = tensors(split, network.device)
    scores = score(network.module, Classification(), inputs, targets, config.evaluation_batch_size)
    run.advance()
    return Outcome({**Classification.metrics("test", scores), "test_examples": float(scores.examples)})


def _export(job: Job, run: Run, config: TrainConfig, dataset: Dataset) -> Outcome:
    """Writes the finalist's weights, and the formats that are asked for."""
    from archloom_evaluators.train import export
    from archloom_evaluators.train.checkpoint import Checkpoint, restore_model
    from archloom_evaluators.train.measure import model_latency
    from archloom_evaluators.train.model import build_network, choose_device, tensors

    unknown = [name for name in job.exports if name not in EXPORTS]
    if unknown:
        raise EvaluationFailure(Reason.DATA, f"train cannot export {', '.join(unknown)}")
    network = build_network(job, dataset, choose_device(config))
    restore_model(network.module, Checkpoint.from_bytes(run.download(_weights_of(job))))
    inputs, _ = tensors(dataset.validation, network.device)
    inputs = inputs[: export.CHECKED_EXAMPLES]
    metrics = network.metrics()
    artifacts = [
        run.upload(
            export.weights(network.module), "weights", "application/octet-stream", "weights.safetensors"
        )
    ]
    run.advance()
    if "onnx" in job.exports:
        made = export.onnx(network.module, inputs, config.latency_batch_size, config.latency_runs)
        run.advance()
        artifacts.append(run.upload(made.data, "onnx", "application/octet-stream", "model.onnx"))
        metrics |= {"export_max_difference": made.difference, **made.latency.metrics()}
    else:
        one = inputs[: config.latency_batch_size]
        metrics |= model_latency(network.module, one, config.latency_runs).metrics()
    card = export.card(job, network.graph, dataset, metrics)
    artifacts.append(run.upload(card, "model", "application/json", "model.json"))
    return Outcome(metrics, tuple(artifacts))


def _weights_of(job: Job) -> Artifact:
    if job.checkpoint is None:
        raise EvaluationFailure(
            Reason.DATA, f"a {job.role.name} trial needs the finalist's checkpoint, and has none"
        )
    return job.checkpoint
