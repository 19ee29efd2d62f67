"""Scores of architectures without a worker: for `archloom bench`, and for scripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from archloom.space import Architecture, Space

from archloom_evaluators.scores.catalogue import NAMES
from archloom_evaluators.scores.compute import compute
from archloom_evaluators.scores.subject import Subject, random_batch


class LiveScores:
    """Called with an architecture and names, it answers the scores that the network has.

    Inputs are random, targets too, weights are drawn from ``seed``: an architecture has the same scores each
    time, and they are kept. A network of one output gets a head for ``classes``.
    """

    names: Sequence[str] = NAMES

    def __init__(self, space: Space, *, classes: int = 10, examples: int = 64, seed: int = 0) -> None:
        self._space = space
        self._classes = classes
        self._examples = examples
        self._seed = seed
        self._device = torch.device("cpu")
        self._known: dict[str, dict[str, float | str]] = {}

    def __call__(self, architecture: Architecture, names: Sequence[str]) -> Mapping[str, float]:
        found = self.told(architecture, names)
        return {name: value for name, value in found.items() if not isinstance(value, str)}

    def told(self, architecture: Architecture, names: Sequence[str]) -> Mapping[str, float | str]:
        """The same, with a sentence for each score that the network has none of."""
        known = self._known.setdefault(str(architecture.key), {})
        missing = [name for name in names if name not in known]
        if missing:
            graph = body = self._space.graph(architecture)
            if len(body.outputs) == 1:
                graph = self._space.graph(architecture, classes=self._classes)
            batch = random_batch(graph, self._examples, self._seed, self._device)
            known.update(compute(missing, Subject(graph, body, batch, self._seed, self._device)))
        return {name: known[name] for name in names}
