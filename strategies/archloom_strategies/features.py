"""Architectures as rows of numbers, for surrogates: what was decided, and the network that it makes.

Six blocks, each a classic encoding, so that a kernel or a tree may weigh them:

- ``decisions``: the space's vector encoding, which says all of an architecture (recipes too), but for
- ``floats``: its decisions that are floats, such as a learning rate.
- ``paths``: which chains of operations lead from input to output, hashed (White et al., "BANANAS",
  AAAI 2021).
- ``neighborhoods``: how many neighbourhoods of each kind the network has, hashed, as logarithms
  (Weisfeiler-Lehman; Ru et al., "Interpretable Neural Architecture Search via Bayesian Optimisation with
  Weisfeiler-Lehman Kernels", ICLR 2021).
- ``sizes``: logarithms of parameters, multiply-adds, depth and layers.
- ``routes``: how many layers of each kind, in all and on the ways that have fewest and most of them
  (Kadlecová et al., "Surprisingly Strong Performance Prediction with Neural Graph Features", ICML 2024).

The space's own path and graph encodings say the same in strings; here a network costs half a millisecond
to one and a half, since a search encodes hundreds for one proposal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Any

import numpy as np
from archloom.space import Architecture, Space
from archloom.strategy import ProposeRequest
from numpy.typing import NDArray

from archloom_strategies.blocks import Kinds, Row, blocks, kinds
from archloom_strategies.networks import networks_of

BLOCKS = ("decisions", "paths", "neighborhoods", "sizes", "routes", "floats")
#: One block more, of what is known of an architecture beside itself; no encoder makes it.
SCORES = "scores"
#: Architectures that a warm replica keeps encoded, some 3 KB each.
KEPT = 20_000
#: Architectures that are encoded at once, which costs less than one by one.
TOGETHER = 64


@dataclass(frozen=True, slots=True)
class Encoded:
    """An architecture with its rows."""

    architecture: Architecture
    network: str
    """Equal for architectures that make the same network and the same recipe."""
    parameters: int
    flops: int
    layers: int
    rows: tuple[Row, ...]
    """In the order of ``BLOCKS``; then ``SCORES``, where there are any."""
    kinds: Kinds
    """Of its layers."""


@dataclass(frozen=True, slots=True)
class Network:
    """What architectures that make the same network have in common."""

    hash: str
    parameters: int
    flops: int
    layers: int
    rows: tuple[Row, Row, Row, Row]
    kinds: Kinds


class Encoder:
    """Encodes the architectures of one space, each once.

    It is safe for threads, and what it keeps is only speed: each answer is a function of the space and the
    architecture.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self._kept: dict[str, Encoded] = {}
        self._networks: dict[str, Network] = {}

    def __call__(self, architecture: Architecture) -> Encoded:
        return self.many([architecture])[0]

    def many(self, architectures: Sequence[Architecture]) -> list[Encoded]:
        if len(self._kept) >= KEPT:
            self._kept, self._networks = {}, {}
        kept = self._kept
        new = list({each.key: each for each in architectures if each.key not in kept}.values())
        for start in range(0, len(new), TOGETHER):
            for found in encode(self.space, new[start : start + TOGETHER], self._networks):
                kept[found.architecture.key] = found
        return [kept[each.key] for each in architectures]


def encoder_of(request: ProposeRequest[Any, Any]) -> Encoder:
    """The encoder of the request's space, which a warm replica keeps."""
    return request.derived("encoder", lambda: _encoder(request.space))


@lru_cache(maxsize=4)
def _encoder(space: Space) -> Encoder:
    """Shared by all strategies and replicas of a process: encoding is a function of the space alone."""
    return Encoder(space)


def encode(
    space: Space, architectures: Sequence[Architecture], known: dict[str, Network] | None = None
) -> list[Encoded]:
    """``known`` networks, by what makes them and by their hashes, are not made again; new ones are added."""
    known = {} if known is None else known
    names = networks_of(space)
    bodies = [names.body(architecture) for architecture in architectures]
    _make_known(known, space, dict(zip(bodies, architectures, strict=True)))
    floats = _floats(space)
    found = []
    for architecture, body in zip(architectures, bodies, strict=True):
        network = known[body]
        vector = np.array(space.encode(architecture), np.float32)
        found.append(
            Encoded(
                architecture,
                names.name(architecture, network.hash),
                network.parameters,
                network.flops,
                network.layers,
                (vector[~floats], *network.rows, vector[floats]),
                network.kinds,
            )
        )
    return found


def _make_known(known: dict[str, Network], space: Space, bodies: Mapping[str, Architecture]) -> None:
    graphs = {body: space.graph(each) for body, each in bodies.items() if body not in known}
    new = {graph.hash: graph for graph in graphs.values() if graph.hash not in known}
    for graph, rows in zip(new.values(), blocks(list(new.values())), strict=True):
        known[graph.hash] = Network(
            graph.hash, graph.parameters, graph.flops, graph.layers, rows, kinds(graph)
        )
    known.update({body: known[graph.hash] for body, graph in graphs.items()})


@lru_cache(maxsize=16)
def _floats(space: Space) -> NDArray[np.bool_]:
    """Which coordinates of the vector encoding are floats."""
    continuous = frozenset(space.continuous)
    return np.array([name in continuous for name in space.vector_names], bool)


@dataclass(frozen=True)
class Yardstick:
    """What is usual in a space, by draws that are always the same, so that it is the same to each replica."""

    scales: Mapping[str, float]
    """The median squared distance of each block between two random architectures. Blocks in which most are
    equal are left out.
    """
    centers: Mapping[str, tuple[float, ...]]
    """The mean row of each block."""
    layers: float
    """Of a network, on average."""
    lines: tuple[str, ...] = ()
    """Blocks that a surrogate draws straight lines through, beside all else."""
    lean: float = 0.0
    """How many deviations better an architecture is thought to be for each deviation of its scores."""


def yardstick_of(request: ProposeRequest[Any, Any]) -> Yardstick:
    encoder = encoder_of(request)
    return request.derived("yardstick", lambda: measure(encoder))


def measure(encoder: Encoder, draws: int = 64) -> Yardstick:
    rng = Random(0)
    drawn = encoder.many([encoder.space.sample(rng) for _ in range(draws)])
    found, centers = {}, {}
    for place, block in enumerate(BLOCKS):
        rows = np.stack([each.rows[place] for each in drawn]).astype(float)
        between = squared_distances(rows, rows)[np.triu_indices(draws, 1)]
        if (median := float(np.median(between))) > 1e-12:
            found[block] = median
            centers[block] = tuple(rows.mean(0).tolist())
    layers = float(np.mean([each.layers for each in drawn]))
    if not found:
        found, centers = {"decisions": 1.0}, {"decisions": (0.0,) * len(drawn[0].rows[0])}
    return Yardstick(found, centers, layers)


def squared_distances(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of the rows of ``one`` [n, d] to those of ``other`` [m, d]: [n, m]."""
    used = np.flatnonzero(one.any(0))  # of the hashed columns a space fills few
    squares = _squares(one)[:, None] + _squares(other)[None]
    squares -= 2.0 * one[:, used] @ other[:, used].T
    return np.asarray(np.maximum(squares, 0.0, out=squares))


def _squares(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.einsum("ij,ij->i", rows, rows))
