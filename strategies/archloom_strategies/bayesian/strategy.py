"""Bayesian optimisation: a surrogate of every metric, and the candidates that promise most under it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from archloom.strategy import Capabilities, Proposal, ProposeRequest, ProposeResult, SearchSpec, Strategy
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy.stats import rankdata

from archloom_strategies.bayesian.acquisition import Kind, Promise, promise
from archloom_strategies.bayesian.beliefs import GaussianSurrogate, Surrogate
from archloom_strategies.bayesian.candidates import OVERHEAD, Candidates
from archloom_strategies.bayesian.model import Model, build
from archloom_strategies.bayesian.process import Rows, representative
from archloom_strategies.bayesian.scores import Scores, ScoreView
from archloom_strategies.bayesian.trees import TreesSurrogate
from archloom_strategies.features import Encoded, Yardstick, encoder_of, yardstick_of
from archloom_strategies.networks import networks_of
from archloom_strategies.selection import crowding, dominators
from archloom_strategies.threads import hold_to_one_core
from archloom_strategies.trials import Log, Trial, read_log

#: Trials that the surrogates are trained on, as many as a cold replica builds and encodes in some .5 s of one
#: core, and the least and the most of them; of more, the best half and a sample of the rest.
TRAINED_WORK, TRAINED = 200_000, (200, 400)
#: Networks of the last trials that candidates are compared with, beyond those that are trained on.
COMPARED = 500
#: Of several objectives most are costs, which are nearly additive; their surrogates get lines through these
#: blocks. A lone objective goes without: its best is what counts, and there lines do more harm than good.
LINES = ("decisions", "sizes")
#: Random trials before the surrogate is asked, unless a short budget allows fewer.
INITIAL = 5


class BayesianSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    surrogate: Literal["gaussian-process", "trees"] = Field(
        "gaussian-process", description="What predicts a metric: a Gaussian process, or an ensemble of trees."
    )
    acquisition: Kind = Field(
        "expected-improvement", description="What a proposal is chosen by, given the prediction."
    )
    initial: int | None = Field(
        None,
        ge=1,
        le=10_000,
        description="Random trials to begin with; null takes 5, fewer of a small budget.",
    )


Request = ProposeRequest[BayesianSettings, None]


class BayesianOptimization(Strategy[BayesianSettings]):
    """Each step fits surrogates to the whole log and proposes what promises most; there is no state.

    - Users' trials count as the others do, so earlier results are a warm start.
    - Trials under way, and the proposals of one answer, are taken as done at their predicted values.
    - A constraint, and whether trials fail, has a surrogate of its own; the promise is multiplied by the
      chance that all goes well.
    - Several objectives are weighed by the hypervolume that a candidate is expected to add.
    - Training-free scores in the log, of proxy trials, are features: see ``scores``.
    - Of all that make the same network with the same recipe, one is proposed once.
    """

    name = "bayesian"
    version = "1"
    summary = (
        "Bayesian optimisation: Gaussian process or trees over decisions, paths, neighbourhoods and sizes."
    )
    capabilities = Capabilities(max_objectives=0, constraints=True, history=True, proxies=True)

    def propose(self, request: Request) -> ProposeResult[None]:
        if not request.count:
            return ProposeResult()
        hold_to_one_core()
        return _Step(request, read_log(request)).answer()


class _Step:
    def __init__(self, request: Request, log: Log) -> None:
        self.request = request
        self.log = log
        self.encoder = encoder_of(request)
        self.yardstick = yardstick_of(request)
        self.several = len(request.spec.objectives) > 1
        if self.several:
            self.yardstick = replace(self.yardstick, lines=LINES)
        self.scores = Scores.read(request)
        self.view: Callable[[Sequence[Encoded]], Sequence[Encoded]] = _plain
        if self.scores is not None:
            # What a constraint bounds does not follow scores.
            lean = not request.spec.constraints
            self.view = view = ScoreView(self.scores, self.encoder, self.yardstick, lean)
            self.yardstick = view.yardstick
        self.ended = trained(request.spec, log.ended, self.yardstick)
        self.pending = self.encoder.many([trial.architecture for trial in log.pending])
        self.encoded = self.encoder.many([trial.architecture for trial in self.ended])
        self.candidates = Candidates(request, log.asked, self._networks(), request.rng)

    def answer(self) -> ProposeResult[None]:
        model = None if self._young() else self._model()
        seed = self.request.random_stream("acquisition").getrandbits(64)
        best = [trial.architecture for trial in _ordered(self.request.spec, self.ended)[:16]]
        if model is not None:
            suggested = self.scores.suggested() if self.scores is not None else []
            self.candidates.collect(best, lambda found: self._promise(model, found, seed).scores(), suggested)
        elif self.several:
            self.candidates.spread(self.request.count, [*self.encoded, *self.pending])
        else:
            self.candidates.draw(self.request.count)
        if not self.candidates.found and self.candidates.sweep():
            return ProposeResult(exhausted="every network of the space was proposed")
        found, chosen = self.candidates.found, []
        if model is None:
            chosen = found[: self.request.count]
        elif found:
            chosen = self._choose(model, found, seed)
        return ProposeResult(
            [
                Proposal(
                    self.candidates.plain(each, rerouted=self.several),
                    note="random" if model is None else "surrogate",
                )
                for each in chosen
            ],
            diagnostics={
                "trained_on": float(len(self.ended)) if model is not None else 0.0,
                "pending": float(len(self.pending)),
                "candidates": float(len(found)),
            },
        )

    def _young(self) -> bool:
        spec = self.request.spec
        initial = self.request.settings.initial
        if initial is None:
            initial = max(2, min(INITIAL, spec.trials // 4)) if spec.trials else INITIAL
        return len(self.ended) < min(initial, 2) or len(self.ended) + len(self.pending) < initial

    def _model(self) -> Model | None:
        request = self.request
        encoded, pending = self.view(self.encoded), self.view(self.pending)
        return build(request.spec, self.ended, encoded, pending, self.yardstick, self._surrogate)

    def _surrogate(self, rows: Rows, targets: NDArray[np.float64], pending: Rows | None) -> Surrogate:
        if self.request.settings.surrogate == "trees":
            seed = self.request.random_stream("trees").getrandbits(32)
            return TreesSurrogate.fitted(rows, targets, pending, seed)
        return GaussianSurrogate.fitted(rows, targets, pending)

    def _promise(self, model: Model, found: Sequence[Encoded], seed: int) -> Promise:
        found = self.view(found)
        rows = Rows.of(found, self.yardstick)
        kind = self.request.settings.acquisition
        return promise(kind, model, found, rows, np.random.default_rng(seed), len(self.log.trials))

    def _choose(self, model: Model, found: list[Encoded], seed: int) -> list[Encoded]:
        promised = self._promise(model, found, seed)
        chosen: list[Encoded] = []
        left = np.ones(len(found), bool)
        while len(chosen) < self.request.count and left.any():
            place = int(np.argmax(np.where(left, promised.scores(), -np.inf)))
            left[place] = False
            promised.expect(place)
            chosen.append(found[place])
        return chosen

    def _networks(self) -> list[str]:
        """Of the trials that a candidate is likely to equal: the better and the newer ones."""
        last = list(self.log.trials.values())[-COMPARED:]
        compared = {trial.architecture.key: trial.architecture for trial in (*self.ended, *last)}
        name = networks_of(self.request.space).name
        return [name(architecture) for architecture in compared.values()]


def _plain(found: Sequence[Encoded]) -> Sequence[Encoded]:
    return found


def _scores(spec: SearchSpec, trials: list[Trial]) -> NDArray[np.float64]:
    """By the objective, refused trials last. By several, the fewer trials dominate one the better (Fonseca
    and Fleming, "Genetic Algorithms for Multiobjective Optimization", 1993); of the undominated ones, the
    more room it has the better.
    """
    goals = spec.objectives
    points = np.array(
        [
            [
                np.nan if trial.refused else goal.score(trial.metrics.get(goal.metric, np.nan))
                for goal in goals
            ]
            for trial in trials
        ],
        float,
    ).reshape(-1, len(goals))
    fine = np.isfinite(points).all(1)
    found = np.full(len(points), -np.inf)
    if len(goals) == 1:
        found[fine] = points[fine, 0]
    elif fine.any():
        beaten = dominators(points[fine])
        found[fine] = -beaten.astype(float)
        front = np.flatnonzero(fine)[beaten == 0]
        room = crowding([tuple(point) for point in points[front].tolist()])
        found[front] += (rankdata(room) - 1.0) / len(front)
    return found


def _ordered(spec: SearchSpec, trials: list[Trial]) -> list[Trial]:
    return [trials[place] for place in np.argsort(-_scores(spec, trials), kind="stable")]


def trained(spec: SearchSpec, trials: list[Trial], yardstick: Yardstick) -> list[Trial]:
    """Those that surrogates are trained on, in their order."""
    least, most = TRAINED
    count = int(min(most, max(least, TRAINED_WORK / (yardstick.layers + OVERHEAD))))
    return [trials[place] for place in representative(_scores(spec, trials), count)]
