"""One step: take in what happened, learn, draw what is new."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from random import Random

import numpy as np
import torch
from archloom.strategy import Proposal, ProposeResult

from archloom_strategies.enumeration import DRY
from archloom_strategies.reinforce.candidates import Candidates
from archloom_strategies.reinforce.draws import Answer, Draws
from archloom_strategies.reinforce.exploring import chances
from archloom_strategies.reinforce.intake import Intake, Request
from archloom_strategies.reinforce.learning import MOST_STEPS, Learner
from archloom_strategies.reinforce.memory import HUNDREDTHS, Asked, Header, Memory, trials_kept
from archloom_strategies.reinforce.policy import Batch, Layout, Policy, one_thread
from archloom_strategies.reinforce.rewards import (
    Preference,
    drawn_preference,
    free_objectives,
    usefulness,
)

#: Trials before the policy learns, unless a small budget allows fewer.
INITIAL = 8
#: Preferences by which it is judged which trials are worth keeping.
LOOKED_BY = 16
#: Parents of mutations.
PARENTS = 8


class Search:
    def __init__(self, request: Request) -> None:
        self._request = request
        layout = request.derived("reinforce layout", lambda: Layout(Draws(request.space)))
        free = free_objectives(request.spec, request.settings)
        self._subject = sha256(f"{request.space.digest}/{free}".encode()).hexdigest()[:16]
        memory = Memory() if request.state is None else Memory.loaded(request.state)
        events = request.observations
        if memory.header.subject != self._subject:  # the first step, or the objectives are others now
            memory, events = Memory(), (*request.history, *request.observations)
        self._policy = Policy(layout, len(free), memory.arrays or None)
        self._intake = Intake(request, layout.draws, memory)
        self._intake.take(events)
        self._swept, self._dry = memory.header.swept, memory.header.dry
        rng = Random(0)
        self._usual = [self._preference(rng) for _ in range(LOOKED_BY if len(free) > 1 else 1)]

    def answer(self) -> ProposeResult[bytes]:
        with one_thread():
            intake = self._intake
            middle = [tuple(np.mean(self._usual, axis=0).tolist())] * len(intake.unfilled)
            intake.fill(self._logs(intake.unfilled, middle))
            intake.trim(trials_kept(len(self._policy.layout.draws.slots)), self._usual)
            self._learn()
            candidates = self._propose()
            found = candidates.found
            nothing = self._request.count > 0 and not found
            self._dry = self._dry + 1 if nothing and not intake.asked else 0
            logs = self._logs([each.answers for each in found], [each.preference for each in found])
        for ordinal, (each, log) in enumerate(zip(found, logs, strict=True)):
            step = self._request.step
            intake.asked[step, ordinal] = Asked(step=step, ordinal=ordinal, answers=each.answers, logs=log)
        return ProposeResult(
            [Proposal(each.architecture, note=each.note) for each in found],
            state=self._memory().dumped(),
            exhausted=self._end() if nothing else "",
            diagnostics={
                "trials_learned_from": float(len(intake.trials)),
                "proposals_under_way": float(len(intake.asked)),
                "architectures_drawn": float(candidates.drawn),
                "log_probability": sum(map(sum, logs)) / HUNDREDTHS / max(1, len(logs)),
            },
        )

    @property
    def _young(self) -> bool:
        return self._intake.ended < self._initial

    @property
    def _initial(self) -> int:
        trials = self._request.spec.trials
        few = max(2, min(INITIAL, trials // 4)) if trials else INITIAL
        return self._request.settings.initial or few

    def _learn(self) -> None:
        request, intake = self._request, self._intake
        settings, spec = request.settings, request.spec
        if not intake.told or self._young or len(intake.trials) < 2:
            return
        rng = request.random_stream("preferences")
        steps = min(MOST_STEPS, settings.updates * intake.told)
        learner = Learner(
            self._policy, spec, settings, intake.trials, [self._preference(rng) for _ in range(steps)]
        )
        progress = min(1.0, intake.ended / spec.trials) if spec.trials else 0.0
        learner.learn(settings.entropy + (settings.final_entropy - settings.entropy) * progress)

    def _propose(self) -> Candidates:
        request, intake = self._request, self._intake
        candidates = Candidates(request, intake, self._policy, request.rng)
        wanted = [self._preference(request.rng) for _ in range(request.count)]
        if self._young and len(intake.asked) + intake.ended < self._initial:
            candidates.by_chance(wanted)
        else:
            explored = chances(self._policy.layout, self._parents(), request.settings.exploration)
            candidates.by_policy(wanted, explored)
        if len(candidates.found) < len(wanted):
            candidates.by_mutation(wanted[len(candidates.found) :], self._parents())
        if len(candidates.found) < len(wanted):
            candidates.by_chance(wanted[len(candidates.found) :])
        if len(candidates.found) < len(wanted) and not request.space.continuous:
            self._swept = candidates.by_listing(wanted[len(candidates.found) :], self._swept)
        return candidates

    def _end(self) -> str:
        """Why nothing is left, of a step that found nothing; empty while it is not known."""
        space = self._request.space
        if not space.continuous and self._swept >= space.size():
            return "every network of the space was proposed"
        return f"in {DRY} steps neither the policy nor chance drew anything new" if self._dry >= DRY else ""

    def _parents(self) -> list[tuple[Answer, ...]]:
        trials = self._intake.trials
        if not trials:
            return []
        useful = usefulness(self._request.spec, self._request.settings, trials, self._usual)
        best = sorted(range(len(trials)), key=lambda place: -useful[place])
        return [trials[place].answers for place in best[:PARENTS]]

    def _preference(self, rng: Random) -> Preference:
        return drawn_preference(self._request.spec, self._request.settings, rng)

    def _logs(
        self, answers: Sequence[Sequence[Answer]], preferences: Sequence[Preference]
    ) -> list[tuple[int, ...]]:
        """Log probabilities under the policy as it is now, in hundredths."""
        found: dict[int, tuple[int, ...]] = {}
        with torch.no_grad():
            for preference in dict.fromkeys(preferences):
                rows = [row for row, given in enumerate(preferences) if given == preference]
                batch = Batch.of(self._policy.layout, [answers[row] for row in rows])
                logs, _ = self._policy.log_probabilities(batch, torch.tensor(preference, dtype=torch.double))
                whole = (logs * HUNDREDTHS).round().long().tolist()
                for row, given in zip(rows, whole, strict=True):
                    found[row] = tuple(given[: len(answers[row])])
        return [found[row] for row in range(len(answers))]

    def _memory(self) -> Memory:
        intake = self._intake
        header = Header(
            subject=self._subject,
            trials=tuple(intake.trials),
            asked=intake.under_way(),
            ended=intake.ended,
            swept=self._swept,
            dry=self._dry,
        )
        arrays = {
            name: np.asarray(tensor.detach().numpy(), np.float32)
            for name, tensor in self._policy.parameters.items()
        }
        return Memory(header, arrays, intake.known.digests())
