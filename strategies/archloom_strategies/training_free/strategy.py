"""Training-free search: many architectures are scored without training, few are trained, first those that the
scores together call best, then those that results speak for.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from archloom.space import Architecture
from archloom.strategy import (
    Capabilities,
    Fidelity,
    Observation,
    Proposal,
    ProposeRequest,
    ProposeResult,
    SearchSpec,
    Strategy,
    Violation,
)
from pydantic import BaseModel, ConfigDict, Field

from archloom_strategies.inner import Inner, InnerState, ask, faults, foreign
from archloom_strategies.networks import networks_of
from archloom_strategies.training_free.guided import choose
from archloom_strategies.training_free.log import Scored, read_scores
from archloom_strategies.training_free.pool import PARENTS, Newcomers
from archloom_strategies.training_free.ranking import best_trials, order
from archloom_strategies.trials import read_log

SCORES = ("parameters", "flops", "synflow", "naswot", "jacob_cov", "snip", "grad_norm", "zen")
#: Of the pool, what is drawn by chance; the others are children of the best ranked.
DRAWN = 0.4
#: Architectures that are scored for each trial of the budget, and the least and the most of them.
EACH, LEAST, MOST = 20, 200, 1_000
#: Trials from the pool before the inner strategy takes over are a quarter of the budget, within these.
WARM = (3, 25)
#: The best are tried once all but one in so many of the pool have their scores.
PATIENCE = 10
#: Networks that are scored at most.
POOL = 4_096

Name = Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,62}$")]


class TrainingFreeSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Literal["warm-start", "search"] = Field(
        "warm-start",
        description="warm-start: some of the pool are trained, then the inner strategy goes on. "
        "search: all trials are of the pool, as far as it reaches.",
    )
    scores: tuple[Name, ...] = Field(
        SCORES,
        min_length=1,
        max_length=32,
        description="Training-free scores that are asked; those that the evaluator lacks are left out.",
    )
    pool: int | None = Field(
        None,
        ge=2,
        le=POOL,
        description="Architectures that are scored; null takes 20 for each trial, 200 to 1,000.",
    )
    warm_start: int | None = Field(
        None,
        ge=1,
        le=10_000,
        description="Trials from the pool before the inner strategy takes over; null takes a quarter of the "
        "budget, 3 to 25, or as many as run at once; with several objectives one.",
    )
    inner: Inner = Field(
        Inner(name="bayesian"),
        description="The strategy that goes on after the warm start; from the beginning where there are no "
        "scores.",
    )


class Progress(BaseModel):
    model_config = ConfigDict(frozen=True)

    closed: bool = False
    """No more is scored: the pool is full, or nothing new was found."""
    handed_over: int = 0
    """The step since which trials are the inner strategy's; 0 before."""
    inner: InnerState | None = None


Request = ProposeRequest[TrainingFreeSettings, Progress]


class TrainingFree(Strategy[TrainingFreeSettings, Progress]):
    """Scores a pool of architectures by proxy trials, ranks them, and trains the best ranked; results decide.

    - A pool is drawn at random and then bred from the best ranked, each network once.
    - The rank is a mean of ranks with fixed weights, see ``ranking``. It proposes and never decides: results
      outweigh it from trial to trial, see ``guided``, and the winner is the best real trial.
    - Users' trials count towards the warm start.
    - The inner strategy is told of the proxy trials if its capabilities say that it reads them; `bayesian`
      takes the scores as features.
    - Where no score is offered, or the limit of proxy trials is spent or 0, it goes on with what there is.
    """

    name = "training-free"
    version = "1"
    summary = "Zero-cost scores, combined by ranks: a search of its own, or a warm start of another strategy."
    capabilities = Capabilities(
        max_objectives=0, constraints=True, multi_fidelity=True, curves=True, history=True, proxies=True
    )

    def check(self, spec: SearchSpec, settings: TrainingFreeSettings) -> Iterable[Violation]:
        repeated = [name for place, name in enumerate(settings.scores) if name in settings.scores[:place]]
        if repeated:
            yield Violation("settings.scores", f"{repeated[0]!r} is named twice: name each score once")
        yield from faults(settings.inner, spec)

    def propose(self, request: Request) -> ProposeResult[Progress]:
        before = request.state or Progress()
        if before.handed_over or not request.count:
            return _inner(request, before)
        return _Step(request, before).answer()


def _inner(
    request: Request, progress: Progress, numbers: dict[str, float] | None = None
) -> ProposeResult[Progress]:
    """What the inner strategy answers. It is told of what was proposed before it took over as of others'
    trials.
    """

    def tell(event: Observation) -> Observation:
        mine = event.fidelity.proxies or not progress.handed_over or event.step < progress.handed_over
        return foreign(event) if mine and event.step else event

    count = request.count if progress.handed_over else 0
    answer = ask(request.settings.inner, request, progress.inner, count, tell=tell)
    return ProposeResult(
        answer.proposals,
        state=progress.model_copy(update={"inner": answer.state}),
        waiting=answer.waiting and progress.handed_over > 0,
        exhausted=answer.exhausted if progress.handed_over else "",
        stop=answer.stop,
        diagnostics={**answer.diagnostics, **(numbers or {})},
    )


class _Step:
    """One step before the inner strategy takes over."""

    def __init__(self, request: Request, before: Progress) -> None:
        self.request = request
        self.before = before
        self.scores = read_scores(request)
        self.log = read_log(request)
        self.rng = request.random_stream("pool")
        self.pool: list[Scored] = []
        self.closed = before.closed

    def answer(self) -> ProposeResult[Progress]:
        request, settings = self.request, self.request.settings
        names = self.scores.names(settings.scores) if request.spec.proxy_trials else ()
        if names is None:
            return self._goes_on(self._alone())
        self.pool = self.scores.having(names)
        self.closed = self.before.closed or not names or self.scores.spent
        proposals = [] if self.closed else self._newcomers(names)
        pending = sum(not each.ended for each in self.pool)
        if not proposals and PATIENCE * pending > len(self.pool):
            return self._goes_on([], waiting=True)
        proposals = proposals or self._best()
        if proposals:
            return self._goes_on(proposals)
        progress = Progress(closed=self.closed, handed_over=request.step, inner=self.before.inner)
        return _inner(request, progress, self._numbers())

    def _goes_on(self, proposals: list[Proposal], waiting: bool = False) -> ProposeResult[Progress]:
        told = _inner(self.request, self.before)
        assert told.state is not None
        return ProposeResult(
            proposals,
            state=told.state.model_copy(update={"closed": self.closed}),
            waiting=waiting,
            diagnostics=self._numbers(),
        )

    def _alone(self) -> list[Proposal]:
        """Each score that is not known to be offered, asked of one architecture."""
        known = self.scores.accepted | self.scores.refused
        unknown = [name for name in self.request.settings.scores if (name,) not in known]
        architecture = self.request.space.sample(self.rng)
        return [_proxy(architecture, (name,)) for name in unknown[: self.request.count]]

    def _newcomers(self, names: tuple[str, ...]) -> list[Proposal]:
        target = pool_size(self.request.settings, self.request.spec)
        if self.request.settings.mode == "search":
            target = min(POOL, max(target, 2 * len(self.log.trials)))
        missing = min(target - len(self.pool), self.request.count)
        if missing <= 0:
            return []
        known = [each.architecture for each in self.pool]
        newcomers = Newcomers(self.request, known, target, self.rng)
        parents = self._parents() if len(self.pool) >= DRAWN * target else []
        found = newcomers.take(missing, parents)
        self.closed = not found
        return [_proxy(architecture, names) for architecture in found]

    def _parents(self) -> list[Architecture]:
        """The best ranked; and as many of the best trials, where there are some."""
        ended = [each for each in self.pool if each.ended]
        return self._ranked(ended)[:PARENTS] + best_trials(self.log, self.request.spec)[:PARENTS]

    def _best(self) -> list[Proposal]:
        """Of the pool, what is to be trained next; as many as there is room for."""
        request = self.request
        room = request.count
        if request.settings.mode == "warm-start":
            room = min(room, warm_start(request.settings, request.spec) - len(self.log.trials))
        if room <= 0:
            return []
        name = networks_of(request.space).name
        tried = {name(trial.architecture) for trial in self.log.trials.values()}
        ended = [each for each in self.pool if each.ended]
        ranked = {
            rank: architecture
            for rank, architecture in enumerate(self._ranked(ended), start=1)
            if architecture.key not in self.log.asked and name(architecture) not in tried
        }
        chosen = choose(request, self.log, ranked, room)
        return [Proposal(ranked[rank], note=f"rank {rank} of {len(ended)}") for rank in chosen]

    def _ranked(self, pool: list[Scored]) -> list[Architecture]:
        return [pool[place].architecture for place in order(pool, self.request.spec)]

    def _numbers(self) -> dict[str, float]:
        return {
            "scored": float(self.scores.with_scores),
            "scores_offered": float(len(self.scores.names(self.request.settings.scores) or ())),
        }


def pool_size(settings: TrainingFreeSettings, spec: SearchSpec) -> int:
    size = settings.pool or max(LEAST, min(MOST, EACH * spec.trials))
    return min(size, spec.proxy_trials)


def warm_start(settings: TrainingFreeSettings, spec: SearchSpec) -> int:
    if settings.warm_start is None and len(spec.objectives) > 1:
        return 1  # The first trials of a front have to differ, and the best ranked are alike.
    return settings.warm_start or max(WARM[0], spec.parallelism, min(WARM[1], spec.trials // 4 or WARM[1]))


def _proxy(architecture: Architecture, names: tuple[str, ...]) -> Proposal:
    return Proposal(architecture, fidelity=Fidelity(proxies=names), note="scores")
