"""The network that is scored, and the batch it is scored on."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property

import torch
from archloom.space import Graph
from torch import Tensor, nn
from torch.nn import functional

from archloom_evaluators.build import build_module
from archloom_evaluators.build.layers.basic import DropPath
from archloom_evaluators.build.layers.norms import ChannelNorm, ChannelRMSNorm
from archloom_evaluators.train.randomness import generator, seed_torch

NORMS = (
    nn.modules.batchnorm._BatchNorm,
    nn.modules.instancenorm._InstanceNorm,
    nn.GroupNorm,
    nn.LayerNorm,
    nn.RMSNorm,
    ChannelNorm,
    ChannelRMSNorm,
)
_DROPS = (nn.modules.dropout._DropoutNd, DropPath)
#: Of tokens where no embedding says how many there are.
_FEW_TOKENS = 2


class NoScore(Exception):
    """A score that this network has none of; the sentence says why."""


@dataclass(frozen=True)
class Batch:
    """One batch: the network's inputs in their order, each [n, ...], and a class for each example, [n], where
    they are known.
    """

    inputs: tuple[Tensor, ...]
    targets: Tensor | None = None


class Subject:
    """A fresh network, its weights drawn from ``seed``, and what several scores need of it.

    Norms work on the batch, as they do when training begins; nothing is dropped. ``body`` is the same
    network without the head of a task with classes.
    """

    def __init__(self, graph: Graph, body: Graph, batch: Batch, seed: int, device: torch.device) -> None:
        self.graph = graph
        self.body = body
        self.batch = batch
        self.seed = seed
        self.device = device

    @cached_property
    def module(self) -> nn.Module:
        """Shared by the scores that leave the weights as they are."""
        return self.fresh(self.graph)

    def fresh(self, graph: Graph) -> nn.Module:
        """A network of one's own, with the same weights each time."""
        seed_torch(self.seed, "weights")
        module = build_module(graph).to(self.device).train()
        for part in module.modules():
            if isinstance(part, _DROPS):
                part.eval()
        return module

    def copy(self) -> nn.Module:
        """Of ``module``, to be changed."""
        return deepcopy(self.module)

    def generator(self, *purpose: object) -> torch.Generator:
        """On the CPU, for random inputs."""
        return generator(self.seed, "scores", *purpose)

    @cached_property
    def gradients(self) -> list[tuple[Tensor, Tensor]]:
        """Each weight with the gradient of the batch's loss.

        The loss is the cross-entropy over axis 1 of each output, to the batch's targets, or to random ones.
        """
        weights = matrices(self.module)
        if not weights:
            raise NoScore("the network has no weights")
        loss = self._loss(outputs_of(self.module, self.batch.inputs))
        found = torch.autograd.grad(loss, weights, allow_unused=True)
        return [
            (weight.detach(), torch.zeros_like(weight) if gradient is None else gradient)
            for weight, gradient in zip(weights, found, strict=True)
        ]

    def _loss(self, outputs: list[Tensor]) -> Tensor:
        loss = torch.zeros((), device=self.device)
        for number, output in enumerate(outputs):
            targets = self.batch.targets
            if targets is None or output.ndim != 2:
                sizes = (output.shape[0], *output.shape[2:])
                drawn = torch.randint(output.shape[1], sizes, generator=self.generator("targets", number))
                targets = drawn.to(self.device)
            loss = loss + functional.cross_entropy(output, targets)
        return loss


def outputs_of(module: nn.Module, inputs: tuple[Tensor, ...]) -> list[Tensor]:
    """The network's outputs, in order, also where there is one alone."""
    found = module(*inputs)
    return list(found.values()) if isinstance(found, dict) else [found]


def matrices(module: nn.Module) -> list[nn.Parameter]:
    """Weights of convolutions, linear layers, embeddings and the like; no biases, nothing of a norm."""
    of_norms = {
        id(parameter)
        for part in module.modules()
        if isinstance(part, NORMS)
        for parameter in part.parameters()
    }
    return [each for each in module.parameters() if each.ndim > 1 and id(each) not in of_norms]


def reads_tokens(graph: Graph) -> bool:
    return any(graph[node].shape.kind == "tokens" for node in graph.inputs.values())


def random_batch(graph: Graph, examples: int, seed: int, device: torch.device) -> Batch:
    """Standard normal values, or uniform tokens; without targets."""
    drawn = generator(seed, "scores", "inputs")
    inputs = []
    for node in graph.inputs.values():
        shape = graph[node].shape
        if shape.kind == "tokens":
            value = torch.randint(_vocabulary(graph, node), (examples, *shape.dims), generator=drawn)
        else:
            value = torch.randn(examples, *shape.dims, generator=drawn)
        inputs.append(value.to(device))
    return Batch(tuple(inputs))


def _vocabulary(graph: Graph, source: int) -> int:
    sizes = [
        int(size)
        for node in graph.nodes
        if source in node.inputs and isinstance(size := node.params.get("vocabulary"), int)
    ]
    return min(sizes, default=_FEW_TOKENS)
