"""The policy: a neural autoregressive distribution over the draws of a space.

Larochelle and Murray, "The Neural Autoregressive Distribution Estimator", AISTATS 2011: what was drawn before
is a sum of embeddings, so a draw that does not exist under the others adds nothing, and all the steps of a
sequence are computed at once. The logits of draw t are

    bias[value] . preference + shared[value's family] . preference + heads[value] . tanh(sum of embeddings)

``preference`` weighs the objectives, (1,) where there is one: so one policy holds the way to each part of a
front (Abels et al., "Dynamic Weights in Multi-Objective Deep Reinforcement Learning", ICML 2019). ``shared``
is what repetitions of a layer have in common. Biases and heads begin at 0: the first policy draws uniformly.

A place on a line is drawn from a logistic distribution cut to [0, 1], whose two logits are its middle and
its width (a discretised one for integers: Salimans et al., "PixelCNN++", ICLR 2017).
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from threading import Lock

import torch
from archloom.space import Architecture
from archloom.space.decisions.choices import Decisions
from torch import Tensor

from archloom_strategies.reinforce.draws import DIGITS, Answer, Draw, Draws
from archloom_strategies.reinforce.memory import Array

#: Numbers in a policy, at most: 1 MB as 32-bit floats.
SIZE = 250_000
#: Of the features of what was drawn before.
WIDEST, NARROWEST = 16, 1
#: Strength of heads beside biases: how much faster a decision is learned alone than together with others.
INTERACTION = 0.5
#: Widths of the distribution on a line, as shares of it: all but uniform at first, never a point.
WIDTH, LEAST_WIDTH = 1.0, 0.01

NAMES = ("bias", "shared", "heads", "embeddings")

_one_answer = Lock()


@contextmanager
def one_thread() -> Generator[None]:
    """Sums in the same order everywhere; and the parts are too small to share out. The number of threads is
    the process's, so one answer is made at a time.
    """
    with _one_answer:
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)


class Layout:
    """Where the numbers of each slot stand, as index tensors. A function of the space alone."""

    def __init__(self, draws: Draws) -> None:
        self.draws = draws
        slots = draws.slots
        outputs = [slot.outputs for slot in slots]
        self.most = max(outputs, default=1)
        self.tokens = sum(outputs)
        kinds: dict[str, int] = {}
        self.kinds = [kinds.setdefault(slot.family, len(kinds)) for slot in slots]
        """[slots]: equal where slots differ in the numbers of repetitions, cells or edges alone."""
        families: dict[tuple[str, object], int] = {}
        members: list[int] = []
        table = torch.full((len(slots), self.most), self.tokens, dtype=torch.long)
        for place, slot in enumerate(slots):
            start = len(members)
            table[place, : slot.outputs] = torch.arange(start, start + slot.outputs)
            keys = list(slot.numbers) or list(range(slot.outputs))
            members += [families.setdefault((slot.family, repr(key)), len(families)) for key in keys]
        self.table = table
        """[slots, most]: the tokens of each slot's logits; ``tokens``, a row of zeros, where it has fewer."""
        self.family = torch.tensor(members, dtype=torch.long)
        """[tokens]"""
        self.families = len(families)
        sizes = torch.bincount(self.family, minlength=max(1, self.families)).double()
        self.share = 1.0 / sizes[self.family].sqrt()
        """[tokens]: so that a family of many learns no faster than one slot does."""
        self.line = torch.tensor([slot.line for slot in slots], dtype=torch.bool)
        left = SIZE // max(1, 2 * self.tokens) - 3
        self.width = max(NARROWEST, min(WIDEST, left))


@dataclass(frozen=True)
class Batch:
    """Sequences of draws with their answers, padded: [sequences, draws], and ``allowed`` [..., most]."""

    slots: Tensor
    numbers: Tensor
    places: Tensor
    halves: Tensor
    """Half of a part's length on a line, 0 where it is continuous."""
    allowed: Tensor
    real: Tensor

    @staticmethod
    def of(layout: Layout, sequences: Sequence[Sequence[Answer]]) -> Batch:
        drawn = [layout.draws.drawn(answers) for answers in sequences]
        longest = max((len(each) for each in drawn), default=0)
        shape = (len(sequences), longest)
        slots = torch.zeros(shape, dtype=torch.long)
        numbers = torch.zeros(shape, dtype=torch.long)
        places, halves = torch.zeros(shape, dtype=torch.double), torch.zeros(shape, dtype=torch.double)
        allowed = torch.zeros((*shape, layout.most), dtype=torch.bool)
        real = torch.zeros(shape, dtype=torch.bool)
        for row, (draws, answers) in enumerate(zip(drawn, sequences, strict=True)):
            length = len(draws)
            real[row, :length] = True
            slots[row, :length] = torch.tensor([draw.slot for draw in draws], dtype=torch.long)
            found = [placed(draw, answer) for draw, answer in zip(draws, answers, strict=True)]
            numbers[row, :length] = torch.tensor([number for number, _, _ in found], dtype=torch.long)
            places[row, :length] = torch.tensor([place for _, place, _ in found], dtype=torch.double)
            halves[row, :length] = torch.tensor([half for _, _, half in found], dtype=torch.double)
            rows = [column for column, draw in enumerate(draws) for _ in draw.allowed]
            allowed[row, rows, [number for draw in draws for number in draw.allowed]] = True
        return Batch(slots, numbers, places, halves, allowed, real)


def placed(draw: Draw, answer: Answer) -> tuple[int, float, float]:
    """The number of a value; or, on a line, the middle of a part and half of its length."""
    if draw.allowed:
        return int(answer), 0.0, 0.0
    if draw.parts:
        return 0, (answer + 0.5) / draw.parts, 0.5 / draw.parts
    return 0, float(answer), 0.0


class Policy:
    """Parameters of one state; ``NAMES`` in double precision."""

    def __init__(self, layout: Layout, objectives: int, arrays: Mapping[str, Array] | None = None) -> None:
        """``arrays``: the parameters of a state; None for a policy that draws uniformly."""
        self.layout = layout
        self.objectives = objectives
        self.parameters = self._fresh()
        if arrays is not None:
            self.parameters = {name: torch.tensor(arrays[name], dtype=torch.double) for name in NAMES}
        for tensor in self.parameters.values():
            tensor.requires_grad_(True)

    @staticmethod
    def shapes(layout: Layout, objectives: int) -> dict[str, tuple[int, int]]:
        return {
            "bias": (layout.tokens, objectives),
            "shared": (layout.families, objectives),
            "heads": (layout.tokens, layout.width),
            "embeddings": (layout.tokens, layout.width),
        }

    def _fresh(self) -> dict[str, Tensor]:
        shapes = self.shapes(self.layout, self.objectives)
        found = {name: torch.zeros(shape, dtype=torch.double) for name, shape in shapes.items()}
        found["embeddings"].normal_(generator=torch.Generator().manual_seed(0))
        return found

    def weights(self, preference: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Biases [tokens + 1], heads and embeddings [tokens + 1, width], the last row 0, under a preference
        [objectives].
        """
        layout, own = self.layout, self.parameters
        shared = (own["shared"] @ preference)[layout.family] * layout.share
        bias = own["bias"] @ preference + shared
        heads = own["heads"] * (INTERACTION / math.sqrt(layout.width))
        pad = torch.nn.functional.pad
        return pad(bias, (0, 1)), pad(heads, (0, 0, 0, 1)), pad(own["embeddings"], (0, 0, 0, 1))

    def log_probabilities(self, batch: Batch, preference: Tensor) -> tuple[Tensor, Tensor]:
        """Of each draw's answer, [sequences, draws], 0 where there is none; and the entropy of each draw."""
        bias, heads, embeddings = self.weights(preference)
        tokens = self.layout.table[batch.slots]  # [sequences, draws, most]
        line = self.layout.line[batch.slots]
        drawn = tokens.gather(2, batch.numbers.unsqueeze(2)).squeeze(2)
        strength = torch.where(line, 2.0 * batch.places - 1.0, 1.0) * batch.real
        added = embeddings[drawn] * strength.unsqueeze(2)
        before = added.cumsum(1) - added
        count = torch.arange(batch.slots.shape[1], dtype=torch.double).clamp(min=1.0).sqrt()
        hidden = torch.tanh(before / count.view(1, -1, 1))
        logits = bias[tokens] + (heads[tokens] * hidden.unsqueeze(2)).sum(3)
        listed, entropy = _listed(logits, batch)
        if bool(line.any()):
            on_line = line_log_probability(logits[..., 0], logits[..., 1], batch.places, batch.halves)
            listed = torch.where(line, on_line, listed)
            entropy = torch.where(line, width_of(logits[..., 1]).log().clamp(max=0.0), entropy)
        return listed * batch.real, entropy * batch.real

    @torch.no_grad()
    def sample(
        self, rng: Random, preferences: Sequence[Tensor], temperature: float, explored: Sequence[float]
    ) -> list[tuple[Architecture, list[Answer]]]:
        """One architecture for each preference; whether it fits the space's constraints is not looked at.
        ``explored``: for each slot the chance that it is drawn anew, however sure the policy is of it.
        """
        weights = [self.weights(preference) for preference in preferences[:1]]
        if len({tuple(preference.tolist()) for preference in preferences}) > 1:
            weights = [self.weights(preference) for preference in preferences]
        biases = torch.stack([bias for bias, _, _ in weights])
        _, heads, embeddings = weights[0]
        decisions: list[Decisions] = [{} for _ in preferences]
        answers: list[list[Answer]] = [[] for _ in preferences]
        walks = [self.layout.draws.walk(out) for out in decisions]
        draws = [next(walk, None) for walk in walks]
        before = torch.zeros((len(walks), self.layout.width), dtype=torch.double)
        step = 0
        while rows := [row for row, draw in enumerate(draws) if draw is not None]:
            now = [draw for draw in draws if draw is not None]
            tokens = self.layout.table[torch.tensor([draw.slot for draw in now])]
            which = torch.tensor(rows) if len(weights) > 1 else torch.zeros(len(rows), dtype=torch.long)
            hidden = torch.tanh(before[rows] / math.sqrt(max(1, step)))
            logits = biases[which.unsqueeze(1), tokens] + (heads[tokens] * hidden.unsqueeze(1)).sum(2)
            strengths = []
            for place, (row, draw, given) in enumerate(zip(rows, now, logits.tolist(), strict=True)):
                if rng.random() < explored[draw.slot]:
                    answer = drawn_anew(draw, given, rng)
                else:
                    answer = drawn_by(draw, given, rng.random(), temperature)
                answers[row].append(answer)
                number, middle, _ = placed(draw, answer)
                strengths.append(1.0 if draw.allowed else 2.0 * middle - 1.0)
                tokens[place, 0] = tokens[place, number]
                try:
                    draws[row] = walks[row].send(answer)
                except StopIteration:
                    draws[row] = None
            before[rows] += embeddings[tokens[:, 0]] * torch.tensor(strengths, dtype=torch.double).unsqueeze(
                1
            )
            step += 1
        return [(Architecture(out), found) for out, found in zip(decisions, answers, strict=True)]


def _listed(logits: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """The log probability of each number under a softmax over what is allowed, and its entropy."""
    kept = logits.masked_fill(~batch.allowed, -1e9)
    logs = torch.log_softmax(kept, 2)
    entropy = -(logs.exp() * logs.masked_fill(~batch.allowed, 0.0)).sum(2)
    return logs.gather(2, batch.numbers.unsqueeze(2)).squeeze(2), entropy


def width_of(logit: Tensor) -> Tensor:
    return (WIDTH * torch.exp(-logit)).clamp(min=LEAST_WIDTH)


def line_log_probability(middle: Tensor, width: Tensor, place: Tensor, half: Tensor) -> Tensor:
    """Of a part of [0, 1] with this middle and half length, or the density at a place where that is 0, under
    a logistic distribution cut to [0, 1].
    """
    center, scale = torch.sigmoid(middle), width_of(width)
    whole = torch.sigmoid((1.0 - center) / scale) - torch.sigmoid(-center / scale)
    away = (place - center) / scale
    density = torch.nn.functional.logsigmoid(away) + torch.nn.functional.logsigmoid(-away) - scale.log()
    part = torch.sigmoid((place + half - center) / scale) - torch.sigmoid((place - half - center) / scale)
    inside = torch.where(half > 0, part.clamp(min=1e-12).log(), density)
    return inside - whole.clamp(min=1e-12).log()


def drawn_by(draw: Draw, logits: Sequence[float], uniform: float, temperature: float) -> Answer:
    """The answer at this quantile of the draw's distribution, made wider by a temperature above 1."""
    if draw.allowed:
        kept = [logits[number] / temperature for number in draw.allowed]
        highest = max(kept)
        weights = [math.exp(each - highest) for each in kept]
        left = uniform * math.fsum(weights)
        for number, weight in zip(draw.allowed, weights, strict=True):
            left -= weight
            if left < 0.0:
                return number
        return draw.allowed[-1]
    scale = max(LEAST_WIDTH, WIDTH * math.exp(min(50.0, -logits[1]))) * temperature
    center = _sigmoid(logits[0])
    low, high = _sigmoid(-center / scale), _sigmoid((1.0 - center) / scale)
    quantile = min(max(low + uniform * (high - low), 1e-12), 1.0 - 1e-12)
    place = min(1.0, max(0.0, center + scale * math.log(quantile / (1.0 - quantile))))
    return min(draw.parts - 1, int(place * draw.parts)) if draw.parts else round(place, DIGITS)


def drawn_anew(draw: Draw, logits: Sequence[float], rng: Random) -> Answer:
    """Any answer, all alike; of ordered values in half of all cases one beside the policy's own."""
    if draw.ordered and rng.random() < 0.5:
        own = draw.allowed.index(int(drawn_by(draw, logits, rng.random(), 1.0)))
        return draw.allowed[
            rng.choice([place for place in (own - 1, own + 1) if 0 <= place < len(draw.allowed)])
        ]
    return drawn_by(draw, [0.0] * len(logits), rng.random(), 1.0)


def _sigmoid(value: float) -> float:
    return 1.0 / (1.0 + math.exp(-value)) if value >= 0 else math.exp(value) / (1.0 + math.exp(value))
