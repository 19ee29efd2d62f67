"""Proxy trials: training-free scores of a job's network, on a batch of the training split."""

from __future__ import annotations

import torch
from archloom.errors import ArchloomError

from archloom_evaluators.build import BuildFailed
from archloom_evaluators.data.dataset import Dataset, Split
from archloom_evaluators.evaluator import Job, Run
from archloom_evaluators.failures import EvaluationFailure, Reason
from archloom_evaluators.scores.compute import compute
from archloom_evaluators.scores.subject import Batch, Subject
from archloom_evaluators.train.model import graph_of, tensors
from archloom_evaluators.train.randomness import generator


def score(
    job: Job, run: Run, dataset: Dataset, device: torch.device, examples: int
) -> tuple[dict[str, float], dict[str, str]]:
    """The scores by name; and for each that the network has none of, a sentence why.

    Raises EvaluationFailure with CANNOT_BUILD, and what ``run.advance`` raises.
    """
    scores: dict[str, float] = {}
    missing: dict[str, str] = {}
    try:
        graph = graph_of(job, dataset)
        body = job.context.space.graph(job.architecture)
        subject = Subject(graph, body, _batch(dataset, examples, device), job.seed, device)
        for name, found in compute(job.fidelity.proxies, subject):
            if isinstance(found, str):
                missing[name] = found
            else:
                scores[name] = found
            run.advance()
    except (ArchloomError, BuildFailed) as error:
        raise EvaluationFailure(Reason.CANNOT_BUILD, f"{type(error).__name__}: {error}") from error
    return scores, missing


def _batch(dataset: Dataset, examples: int, device: torch.device) -> Batch:
    """The same examples for every trial of the data set, so that their scores compare."""
    train = dataset.train
    chosen = torch.randperm(len(train.targets), generator=generator(0, "scores", "batch"))[:examples].numpy()
    inputs, targets = tensors(Split(train.inputs[chosen], train.targets[chosen]), device)
    return Batch((inputs,), targets)
