"""Five objectives of known optimum, made from what a network is: its sizes, its operations, and how they are
joined.

Each has a hidden member of the space, drawn from a seed, whose value is 1; the values of all others are in
[0, 1]. They depend on the canonical network and the recipe alone, so networks that are equal have equal
values, and they are the same in every process. None is the space's own encoding, or any strategy's.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from random import Random

from archloom.space import Architecture, Graph, Space

#: Draws by which it is measured what is usual in a space, and of which the hidden member is one.
DRAWS = 64
#: The hidden member is one of the so many of them that are least usual.
UNUSUAL = 12
#: Rounds of Weisfeiler-Lehman refinement; every round's labels count.
ROUNDS = 2
#: The standard deviation of the noise; the true values of random members have one of about 0.1.
NOISE = 0.05
#: That of what is added where a network is hardly trained.
NOISE_EARLY = 0.03
#: Architectures that are kept encoded, some 50 KB each.
KEPT = 2_000


@dataclass(frozen=True, slots=True)
class Features:
    """Of one network."""

    network: str
    """Equal for equal networks with equal recipes."""
    sizes: tuple[float, float, float, float]
    """Logarithms of parameters, multiply-adds, layers with weights on the longest path, and layers."""
    neighbourhoods: Mapping[int, float]
    """Logarithm of one more than how often each neighbourhood occurs. The numbers of the labels are this
    process's own.
    """
    operations: Mapping[tuple[int, str], int]
    """How often each operation occurs in each third of the network."""
    steps: Mapping[tuple[str, str], float]
    """Share of each pair of operations among all edges."""
    recipe: Mapping[str, object]


class Network:
    """The features of a space's architectures, each made once."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self._kept: dict[str, Features] = {}
        draws = [space.sample(Random(f"usual/{draw}")) for draw in range(DRAWS)]
        found = [self(each) for each in draws]
        columns = list(zip(*(each.sizes for each in found), strict=True))
        self.middle = [statistics.median(column) for column in columns]
        self.spread = [statistics.pstdev(column) or 1.0 for column in columns]
        self.usual = found
        by_rarity = sorted(zip(draws, found, strict=True), key=lambda pair: -self._rarity(pair[1]))
        self._unusual = [architecture for architecture, _ in by_rarity[:UNUSUAL]]

    def __call__(self, architecture: Architecture) -> Features:
        found = self._kept.get(architecture.key)
        if found is None:
            if len(self._kept) >= KEPT:
                self._kept = {}
            found = self._kept[architecture.key] = features(self.space, architecture)
        return found

    def hidden(self, rng: Random) -> Architecture:
        return rng.choice(self._unusual)

    def distance(self, one: Features, other: Features) -> float:
        """Between sizes, in standard deviations of the space."""
        return math.sqrt(
            statistics.fmean(
                ((mine - theirs) / spread) ** 2
                for mine, theirs, spread in zip(one.sizes, other.sizes, self.spread, strict=True)
            )
        )

    def _rarity(self, found: Features) -> float:
        """The distance from the middle, in sizes and in neighbourhoods alike."""
        away = statistics.fmean(
            abs(size - middle) / spread
            for size, middle, spread in zip(found.sizes, self.middle, self.spread, strict=True)
        )
        shared = statistics.fmean(overlap(found.neighbourhoods, each.neighbourhoods) for each in self.usual)
        return away + 2.0 * (1.0 - shared)


def features(space: Space, architecture: Architecture) -> Features:
    graph = space.graph(architecture)
    recipe = space.recipe(architecture)
    words = [_word(graph, number) for number in range(len(graph.nodes))]
    depths = [0] * len(words)
    for node in graph.nodes:
        depths[node.id] = 1 + max((depths[source] for source in node.inputs), default=-1)
    deepest = max(depths) + 1
    operations = Counter((3 * depth // deepest, word) for depth, word in zip(depths, words, strict=True))
    steps = Counter((words[source], words[node.id]) for node in graph.nodes for source in node.inputs)
    edges = sum(steps.values()) or 1
    return Features(
        network=f"{graph.hash}/{sorted(recipe.items())}",
        sizes=(
            math.log1p(graph.parameters),
            math.log1p(graph.flops),
            math.log1p(graph.depth),
            math.log1p(len(graph.nodes)),
        ),
        neighbourhoods=_neighbourhoods(graph, words),
        operations=operations,
        steps={step: count / edges for step, count in steps.items()},
        recipe=recipe,
    )


def _word(graph: Graph, number: int) -> str:
    """An operation without its width: what it is, its reach, and how it changes the number of channels."""
    node = graph.nodes[number]
    parameters = node.params
    parts = [node.op]
    parts += [
        f"{name}{parameters[name]}"
        for name in ("k", "stride", "dilation", "heads", "window")
        if parameters.get(name, 1) not in (0, 1)
    ]
    if parameters.get("groups", 1) != 1:
        parts.append("depthwise")
    if node.inputs and "out" in parameters:
        before = graph.nodes[node.inputs[0]].shape.channels
        if before:
            parts.append(f"x{node.shape.channels / before:.2g}")
    return " ".join(parts)


_labels: dict[object, int] = {}


def _label(found: object) -> int:
    return _labels.setdefault(found, len(_labels))


def _neighbourhoods(graph: Graph, words: list[str]) -> Mapping[int, float]:
    readers: list[list[int]] = [[] for _ in words]
    for node in graph.nodes:
        for source in node.inputs:
            readers[source].append(node.id)
    labels = [_label(word) for word in words]
    counts: Counter[int] = Counter()
    for _ in range(ROUNDS):
        labels = [
            _label(
                (
                    labels[node.id],
                    tuple(sorted([labels[source] for source in node.inputs])),
                    tuple(sorted([labels[reader] for reader in readers[node.id]])),
                )
            )
            for node in graph.nodes
        ]
        counts.update(labels)
    return {label: math.log1p(count) for label, count in sorted(counts.items())}


def overlap(one: Mapping[int, float], other: Mapping[int, float]) -> float:
    """What two multisets share of what either has, from 0 to 1 (Ruzicka)."""
    shared = math.fsum(min(count, other[label]) for label, count in one.items() if label in other)
    return shared / (math.fsum(one.values()) + math.fsum(other.values()) - shared)


# ------------------------------------------------------------------ the functions

Value = Callable[[Features], float]


@dataclass(frozen=True, slots=True)
class Objective:
    """``value`` is the truth; the strategy is told ``told``."""

    hidden: Architecture
    value: Value
    noise: float = 0.0
    seed: str = ""

    def told(self, found: Features, trained: float = 1.0) -> float:
        """After ``trained`` of all epochs. What is trained less is worth less, each network at a rate of its
        own, and is noisier, so that curves cross.
        """
        value, rng = self.value(found), Random(f"{self.seed}/{found.network}")
        noise, rate = rng.gauss(0.0, self.noise), rng.uniform(1.0, 4.0)
        if trained >= 1.0:
            return value + noise
        early = Random(f"{self.seed}/{found.network}/{trained:.6f}").gauss(0.0, NOISE_EARLY * (1.0 - trained))
        return value * (1.0 - 0.5 * (1.0 - trained) ** rate) + noise + early


def sizes(network: Network, hidden: Features, rng: Random) -> Value:
    """How near parameters, multiply-adds, depth and layers are to those of the hidden member."""
    return lambda found: math.exp(-1.5 * network.distance(found, hidden))


def neighbourhoods(network: Network, hidden: Features, rng: Random) -> Value:
    """The share of Weisfeiler-Lehman neighbourhoods that the network has in common with the hidden one, above
    what is usual.
    """
    shared = sorted(overlap(hidden.neighbourhoods, each.neighbourhoods) for each in network.usual)
    floor = shared[len(shared) // 4]
    return lambda found: _above(overlap(found.neighbourhoods, hidden.neighbourhoods), floor)


def utilities(network: Network, hidden: Features, rng: Random) -> Value:
    """Each operation in each third of the network is worth something of its own, until there are as many as
    in the hidden member, or harms beyond as many; some pairs are worth more together than alone; depth helps
    up to the hidden member's, and so does each part of the recipe that is as its.
    """
    places = sorted({*hidden.operations, *(place for each in network.usual for place in each.operations)})
    weights = {place: rng.paretovariate(1.2) for place in places}
    helpful = {place: rng.random() < 0.6 for place in places}
    pairs = [tuple(rng.sample(places, 2)) for _ in range(len(places))]
    pair_weights = [rng.paretovariate(1.2) for _ in pairs]
    depth_weight = 0.3 * math.fsum(weights.values())
    total = math.fsum(weights.values()) + math.fsum(pair_weights) + depth_weight

    def fit(found: Features, place: tuple[int, str]) -> float:
        count, wanted = found.operations.get(place, 0), hidden.operations.get(place, 0)
        if helpful[place]:
            return min(count, wanted) / wanted if wanted else 1.0
        return 1.0 / (1.0 + max(0, count - wanted) / (1 + wanted))

    def value(found: Features) -> float:
        fits = {place: fit(found, place) for place in places}
        alone = math.fsum(weights[place] * fits[place] for place in places)
        together = math.fsum(
            weight * fits[one] * fits[other] for (one, other), weight in zip(pairs, pair_weights, strict=True)
        )
        deep = min(1.0, found.sizes[2] / hidden.sizes[2])
        whole = (alone + together + depth_weight * deep**2) / total
        return whole * (0.8 + 0.2 * _recipe_fit(found, hidden))

    floor = statistics.median(value(each) for each in network.usual)
    return lambda found: _above(value(found), 0.8 * floor)


def deceptive(network: Network, hidden: Features, rng: Random) -> Value:
    """A broad hill leads to a decoy, worth 0.6; the hidden member stands at the end of a ridge that is seen
    only near it, and rises in steps. In between is a plateau.
    """
    decoy = max(
        (network(network.hidden(rng)) for _ in range(8)),
        key=lambda each: (network.distance(each, hidden), each.network),
    )
    near = sorted((_steps_shared(each, hidden) for each in network.usual), reverse=True)
    begin = near[DRAWS // 16]

    def value(found: Features) -> float:
        hill = 0.6 * math.exp(-0.7 * network.distance(found, decoy))
        ridge = _above(_steps_shared(found, hidden), begin)
        if ridge > 0.999:
            # All steps are shared: the sizes say how near it is.
            return max(hill, 0.8 + 0.2 * math.exp(-3.0 * network.distance(found, hidden)))
        return max(hill, 0.3, 0.3 + 0.5 * math.floor(10 * ridge) / 10 if ridge > 0 else 0.0)

    return value


def noisy(network: Network, hidden: Features, rng: Random) -> Value:
    """The mean of sizes, neighbourhoods and utilities; told with noise."""
    parts = [make(network, hidden, rng) for make in (sizes, neighbourhoods, utilities)]
    return lambda found: statistics.fmean(part(found) for part in parts)


FUNCTIONS: Mapping[str, Callable[[Network, Features, Random], Value]] = {
    "sizes": sizes,
    "neighbourhoods": neighbourhoods,
    "utilities": utilities,
    "deceptive": deceptive,
    "noisy": noisy,
}


def objective(name: str, network: Network, seed: int) -> Objective:
    """The function of that name whose hidden member, weights and noise come from ``seed``."""
    identity = f"{name}/{network.space.digest}/{seed}"
    rng = Random(int.from_bytes(sha256(identity.encode()).digest()[:8], "big"))
    hidden = network.hidden(rng)
    value = FUNCTIONS[name](network, network(hidden), rng)
    return Objective(hidden, value, NOISE if name == "noisy" else 0.0, identity)


def _above(value: float, floor: float) -> float:
    """From 0 at ``floor`` and below to 1 at 1."""
    return min(1.0, max(0.0, (value - floor) / (1.0 - floor)))


def _steps_shared(one: Features, other: Features) -> float:
    return math.fsum(min(share, other.steps.get(step, 0.0)) for step, share in sorted(one.steps.items()))


def _recipe_fit(one: Features, other: Features) -> float:
    """1 where the recipes are equal, or there is none."""
    fits = [_near(one.recipe[name], other.recipe[name]) for name in sorted(one.recipe)]
    return statistics.fmean(fits) if fits else 1.0


def _near(one: object, other: object) -> float:
    if isinstance(one, float) and isinstance(other, float) and one > 0 and other > 0:
        return math.exp(-abs(math.log(one / other)))
    return float(one == other)
