"""Architectures as rows of numbers, for surrogates: what was decided, and the network that it makes.

Five blocks, each a classic encoding, so that a kernel or a tree may weigh them:

- ``decisions``: the space's vector encoding, which says all of an architecture (recipes too), but for
- ``floats``: its decisions that are floats, such as a learning rate.
- ``paths``: which chains of operations lead from input to output, hashed (White et al., "BANANAS",
  AAAI 2021).
- ``neighborhoods``: how many neighbourhoods of each kind the network has, hashed, as logarithms
  (Weisfeiler-Lehman; Ru et al., "Interpretable Neural Architecture Search via Bayesian Optimisation with
  Weisfeiler-Lehman Kernels", ICLR 2021).
- ``sizes``: logarithms of parameters, multiply-adds, depth and layers.

The space's own path and graph encodings say the same in strings; here a network costs about a millisecond,
since a search encodes hundreds for one proposal.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from random import Random
from typing import Any

import numpy as np
from archloom.space import Architecture, Graph, Space
from archloom.strategy import ProposeRequest
from numpy.typing import NDArray

from archloom_strategies.networks import networks_of

Row = NDArray[np.float32] | NDArray[np.uint8]

BLOCKS = ("decisions", "paths", "neighborhoods", "sizes", "floats")
#: One block more, of what is known of an architecture beside itself; no encoder makes it.
SCORES = "scores"
PATHS = 512
NEIGHBORHOODS = 512
#: Links of a chain at most.
LINKS = 4
#: Chains that one layer passes on: of more, those whose hashes are least, a sample that similar networks
#: share.
CHAINS = 32
#: Refinements of the Weisfeiler-Lehman labels.
REFINEMENTS = 2
#: Architectures that a warm replica keeps encoded, some 3 KB each.
KEPT = 20_000

_MASK = (1 << 64) - 1
_SPREAD = 0x9E3779B97F4A7C15


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


class Encoder:
    """Encodes the architectures of one space, each once.

    It is safe for threads, and what it keeps is only speed: each answer is a function of the space and the
    architecture.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self._kept: dict[str, Encoded] = {}
        self._networks: dict[str, Encoded] = {}

    def __call__(self, architecture: Architecture) -> Encoded:
        key = architecture.key
        found = self._kept.get(key)
        if found is None:
            if len(self._kept) >= KEPT:
                self._kept, self._networks = {}, {}
            found = self._kept[key] = encode(self.space, architecture, self._networks)
            self._networks.setdefault(found.network, found)
        return found


def encoder_of(request: ProposeRequest[Any, Any]) -> Encoder:
    """The encoder of the request's space, which a warm replica keeps."""
    return request.derived("encoder", lambda: _encoder(request.space))


@lru_cache(maxsize=4)
def _encoder(space: Space) -> Encoder:
    """Shared by all strategies and replicas of a process: encoding is a function of the space alone."""
    return Encoder(space)


def encode(
    space: Space, architecture: Architecture, networks: Mapping[str, Encoded] | None = None
) -> Encoded:
    """``networks`` are known ones, whose blocks need not be made again."""
    graph = space.graph(architecture)
    network = networks_of(space).name(architecture, graph)
    vector = np.array(space.encode(architecture), np.float32)
    floats = _floats(space)
    known = (networks or {}).get(network)
    rows = known.rows[1:4] if known else _blocks(graph)
    rows = (vector[~floats], *rows, vector[floats])
    return Encoded(architecture, network, graph.parameters, graph.flops, len(graph.nodes), rows)


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
    drawn = [encoder(encoder.space.sample(rng)) for _ in range(draws)]
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


# ------------------------------------------------------------------ the network's blocks

Chain = tuple[int, ...]
Chains = frozenset[Chain]
_BEGIN: Chains = frozenset([()])
#: What paths meet in, and lead through.
_MERGES = frozenset(["sum", "concat"])


def _blocks(graph: Graph) -> tuple[Row, Row, Row]:
    """Paths, neighborhoods and sizes."""
    nodes = graph.nodes
    words = [_words(node.operation.label, node.operation) for node in nodes]
    sources = [node.inputs for node in nodes]
    links = [0 if node.op in _MERGES else word for node, (word, _) in zip(nodes, words, strict=True)]
    return _paths(sources, links), _neighborhoods(sources, words), _sizes(graph, sources)


def _paths(sources: Sequence[tuple[int, ...]], words: Sequence[int]) -> Row:
    """Layers in a row are one link, unless all paths meet between them. A chain is the links from one place
    where all paths meet to the next, or any ``LINKS`` links in a row of a longer way. A sum is no link (its
    word is 0): a chain leads through it. Chains that repeat count once.
    """
    row = np.zeros(PATHS, np.uint8)
    readers, last = [0] * len(words), list(range(len(words)))
    for number, inputs in enumerate(sources):
        for source in inputs:
            readers[source] += 1
            last[source] = number
    links = [0] * len(words)  # the hash of the row of layers up to here; 0 where none is open
    before: list[Chains] = [_BEGIN] * len(words)  # what leads to that row
    known: dict[tuple[Chains, int], Chains] = {}

    def through(number: int) -> Chains:
        """What leads through a layer."""
        heads, link = before[number], links[number]
        if not link:
            return heads
        found = known.get((heads, link))
        if found is None:
            found = known[heads, link] = _extended(heads, link, row)
        return found

    furthest = 0
    for number, inputs in enumerate(sources):
        if len(inputs) == 1:
            [source] = inputs
            if readers[source] == 1 and links[source]:
                before[number], links[number] = before[source], _then(links[source], words[number])
            else:
                before[number], links[number] = through(source), words[number]
        elif inputs:
            met = frozenset().union(*[through(source) for source in inputs])
            before[number] = frozenset(sorted(met)[:CHAINS]) if len(met) > CHAINS else met
            links[number] = words[number]
        if number and furthest <= number:  # all paths meet here: a piece ends, and the next begins
            for chain in through(number):
                row[_place(chain)] = 1
            before[number], links[number] = _BEGIN, 0
        furthest = max(furthest, last[number])
    return row


def _extended(heads: Chains, link: int, row: Row) -> Chains:
    chains = []
    for head in heads:
        chain = (*head, link)
        if len(chain) == LINKS:
            row[_place(chain)] = 1
            chain = chain[1:]
        chains.append(chain)
    return frozenset(chains)


def _then(link: int, word: int) -> int:
    return ((link ^ word) * _SPREAD + word) & _MASK


@lru_cache(maxsize=100_000)
def _place(chain: Chain) -> int:
    found = 0
    for link in chain:
        found = _then(found, link)
    return (found >> 40) % PATHS


def _neighborhoods(sources: Sequence[tuple[int, ...]], words: Sequence[tuple[int, int]]) -> Row:
    labels = np.array([word for _, word in words], np.uint64)
    ends = [(source, number) for number, inputs in enumerate(sources) for source in inputs]
    edges = np.array(ends, np.intp).reshape(-1, 2)
    before, readers = edges[:, 0], edges[:, 1]
    row = np.zeros(NEIGHBORHOODS)
    for refinement in range(REFINEMENTS + 1):
        places = (labels >> np.uint64(40)) % np.uint64(NEIGHBORHOODS)
        row += np.bincount(places.astype(np.intp), minlength=NEIGHBORHOODS)
        if refinement < REFINEMENTS:
            read, reading = np.zeros_like(labels), np.zeros_like(labels)
            np.add.at(read, readers, _mixed(labels[before], 1))
            np.add.at(reading, before, _mixed(labels[readers], 2))
            labels = _mixed(labels + _mixed(read, 3) + _mixed(reading, 4), 5)
    return np.log1p(row).astype(np.float32)


def _mixed(labels: NDArray[np.uint64], salt: int) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele et al. 2014); sums of what it yields stand for multisets."""
    mixed = labels + np.uint64((salt * _SPREAD) & _MASK)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _sizes(graph: Graph, sources: Sequence[tuple[int, ...]]) -> Row:
    depths: list[int] = []
    for inputs in sources:
        if len(inputs) == 1:
            depths.append(1 + depths[inputs[0]])
        else:
            depths.append(1 + max([depths[source] for source in inputs], default=0))
    whole = (graph.parameters, graph.flops, max(depths), len(sources))
    return np.array([math.log1p(each) for each in whole], np.float32)


_known: dict[bytes, tuple[int, int]] = {}


def _words(label: bytes, operation: Any) -> tuple[int, int]:
    """A layer's word in a chain (operation and kernel) and as a node (all of its parameters, channels
    among them).
    """
    found = _known.get(label)
    if found is None:
        parameters = dict(operation.parameters)
        coarse = f"{operation.name}{parameters.get('k', '')}"
        fine = f"{operation.name}{sorted(parameters.items())}{operation.shape.channels}"
        if len(_known) > 100_000:
            _known.clear()
        found = _known[label] = (_hashed(coarse), _hashed(fine))
    return found


@lru_cache(maxsize=10_000)
def _hashed(text: str) -> int:
    return int.from_bytes(sha256(text.encode()).digest()[:8], "big")
