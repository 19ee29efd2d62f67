"""From a job to a torch module on its device, and the data beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from archloom.errors import ArchloomError
from archloom.space import Graph

from archloom_evaluators.build import BuildFailed, build_module
from archloom_evaluators.data.dataset import Dataset, Split
from archloom_evaluators.evaluator import Job
from archloom_evaluators.failures import EvaluationFailure, Reason, is_out_of_memory
from archloom_evaluators.train.config import TrainConfig
from archloom_evaluators.train.loop import TrainingData
from archloom_evaluators.train.randomness import generator, seed_torch


@dataclass(frozen=True)
class Network:
    """A built architecture."""

    graph: Graph
    module: torch.nn.Module
    device: torch.device

    def metrics(self) -> dict[str, float]:
        """Counted from the graph, head included.

        The same numbers that the controller knows before a trial runs.
        """
        return {"parameters": float(self.graph.parameters), "flops": float(self.graph.flops)}


def choose_device(config: TrainConfig) -> torch.device:
    """Raises EvaluationFailure when the settings ask for a GPU and there is none."""
    if config.device == "cuda" and not torch.cuda.is_available():
        raise EvaluationFailure(Reason.DATA, "evaluator.settings.device: this worker has no CUDA device")
    if config.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(config.device)


def graph_of(job: Job, dataset: Dataset) -> Graph:
    """The job's network with a head for the data set's classes.

    Raises SpaceError; EvaluationFailure with CANNOT_BUILD when it takes other examples than the data set's.
    """
    graph = job.context.space.graph(job.architecture, classes=dataset.classes)
    takes = [graph.nodes[number].operation.shape.dims for number in graph.inputs.values()]
    if takes != [dataset.shape]:
        shapes = " and ".join(str(list(dims)) for dims in takes)
        raise EvaluationFailure(
            Reason.CANNOT_BUILD,
            f"the space takes {shapes}, an example of {dataset.name} is {list(dataset.shape)}",
        )
    return graph


def build_network(job: Job, dataset: Dataset, device: torch.device) -> Network:
    """The job's network with fresh weights, drawn from its seed.

    Raises EvaluationFailure with CANNOT_BUILD.
    """
    seed_torch(job.seed, "weights")
    try:
        graph = graph_of(job, dataset)
        module = build_module(graph)
        module.to(device)
        if len(dataset.shape) == 3:
            # oneDNN and cuDNN convolve images channel by channel fastest in this order.
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        example = torch.zeros(2, *dataset.shape, device=device)
        with torch.no_grad():
            outputs = module.eval()(example)
    except (ArchloomError, BuildFailed, ValueError, TypeError, KeyError, NotImplementedError) as error:
        if error.__cause__ is not None and is_out_of_memory(error.__cause__):
            raise error.__cause__ from error
        raise EvaluationFailure(Reason.CANNOT_BUILD, f"{type(error).__name__}: {error}") from error
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        raise EvaluationFailure(
            Reason.CANNOT_BUILD, f"the network does not take an input of {list(dataset.shape)}: {error}"
        ) from error
    if not isinstance(outputs, torch.Tensor):
        raise EvaluationFailure(Reason.CANNOT_BUILD, f"the network has {len(outputs)} outputs, not one")
    if tuple(outputs.shape) != (2, dataset.classes):
        raise EvaluationFailure(
            Reason.CANNOT_BUILD,
            f"the network yields {list(outputs.shape[1:])} an example, not {dataset.classes} class scores",
        )
    return Network(graph, module, device)


def tensors(split: Split, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and targets on the device; images in the channels-last memory order."""
    # The arrays are read-only and shared by all trials of the process; torch wants memory of its own.
    inputs = torch.from_numpy(np.array(split.inputs)).to(device)
    if inputs.ndim == 4:
        inputs = inputs.contiguous(memory_format=torch.channels_last)
    return inputs, torch.from_numpy(np.array(split.targets)).to(device)


def training_data(dataset: Dataset, fraction: float, seed: int, device: torch.device) -> TrainingData:
    """Both open splits.

    A fraction below 1 takes that share of each class, the same for every trial of the data set.
    """
    train = dataset.train
    if 0 < fraction < 1:
        train = _share(train, fraction, seed)
    inputs, targets = tensors(train, device)
    validation_inputs, validation_targets = tensors(dataset.validation, device)
    return TrainingData(
        inputs, targets, validation_inputs, validation_targets, dataset.classes, dataset.augmentations
    )


def _share(split: Split, fraction: float, seed: int) -> Split:
    chosen: list[int] = []
    for label in np.unique(split.targets):
        members = np.flatnonzero(split.targets == label)
        order = torch.randperm(len(members), generator=generator(seed, "fraction", int(label))).numpy()
        chosen += [int(index) for index in members[order[: max(1, round(fraction * len(members)))]]]
    kept = np.array(sorted(chosen))
    return Split(split.inputs[kept], split.targets[kept])
