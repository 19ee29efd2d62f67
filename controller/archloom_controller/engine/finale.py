"""The end of an experiment: the best are trained again, the winner is fixed by validation, then the test
split opens, then the export.

Each transition is a step of its own: the winner is written before any test trial exists.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from archloom.v1.common_pb2 import Fidelity
from archloom.v1.experiment_pb2 import EventKind, ExperimentPhase, ExperimentState
from archloom.v1.trial_pb2 import TrialRole

from archloom_controller.convert import trial_message
from archloom_controller.engine.draft import Draft
from archloom_controller.engine.frame import SEARCH_ROLES, Frame
from archloom_controller.engine.seeds import training_seed
from archloom_controller.engine.vetting import Vetted
from archloom_controller.store import Store
from archloom_controller.store.layout import COMPLETED, Document

_PAGE = 200


@dataclass(frozen=True)
class Standing:
    """A finalist's runs in one number: the mean of the first objective, less is better."""

    source: int
    mean: float
    stddev: float
    runs: int


def tied(winner: Standing, other: Standing) -> bool:
    """Whether two finalists cannot be told apart by their runs.

    They can when their means differ by more than twice the standard error of the difference (Welch's,
    unpooled). One run has no spread, so with a single run on either side nothing is told apart, unless
    neither side varies at all.
    """
    gap = other.mean - winner.mean
    if winner.runs < 2 or other.runs < 2:
        return True
    error = math.sqrt(winner.stddev**2 / winner.runs + other.stddev**2 / other.runs)
    return gap <= 2 * error


def standings(frame: Frame, finalists: Sequence[Document], runs: dict[int, Document]) -> list[Standing]:
    """Finalists with at least one completed run, best first; equal means by the older trial."""
    name, sign = frame.signs[0]
    found = []
    for finalist in finalists:
        values = [
            sign * runs[number]["metrics"][name]
            for number in finalist["runs"]
            if runs[number]["state"] == COMPLETED
        ]
        if values:
            stddev = statistics.stdev(values) if len(values) > 1 else 0.0
            found.append(Standing(finalist["source"], statistics.fmean(values), stddev, len(values)))
    return sorted(found, key=lambda standing: (standing.mean, standing.source))


async def choose(store: Store, frame: Frame) -> list[Document]:
    """The best trials of distinct graphs: evaluated here, at full fidelity, feasible; whoever proposed
    them.
    """
    chosen: dict[str | bytes, Document] = {}
    after: tuple[float, int] | None = None
    while len(chosen) < frame.spec.finalists.count:
        page = await store.trials.best(frame.uid, _PAGE, after)
        for row in page:
            if row["role"] in SEARCH_ROLES and not row.get("reported"):
                chosen.setdefault(row["graph"] or row["arch"], row)
        if len(page) < _PAGE:
            break
        after = (page[-1]["score"], page[-1]["n"])
    return list(chosen.values())[: frame.spec.finalists.count]


async def open_finale(draft: Draft, store: Store) -> None:
    """The search is over: go on to the finalists, or end. No strategy is needed any more."""
    frame = draft.frame
    draft.recover()
    if not draft.front:
        draft.enter(ExperimentPhase.EXPERIMENT_PHASE_DONE)
        draft.change_state(ExperimentState.EXPERIMENT_STATE_FAILED, _nothing_found(draft))
        return
    if frame.spec.finalists.count == 0:
        _succeed(draft)
        return
    chosen = await choose(store, frame)
    finalists = [{"source": row["n"], "runs": []} for row in chosen]
    todo = [[index, run] for index in range(len(chosen)) for run in range(frame.spec.finalists.seeds)]
    draft.fields["finale"] = {"finalists": finalists, "todo": todo}
    draft.enter(ExperimentPhase.EXPERIMENT_PHASE_FINALISTS)


def _nothing_found(draft: Draft) -> str:
    if draft.counters["completed"]:
        return "no trial of the search was completed at the full fidelity"
    ended = [
        f"{count:,} {what}"
        for name, what in (("failed", "failed"), ("infeasible", "missed a constraint"))
        if (count := int(draft.counters[name]))
    ]
    return f"no trial was completed: {', '.join(ended)}; each says why" if ended else "no trial was completed"


async def train_finalists(draft: Draft, store: Store) -> None:
    """Make the finalists' runs as room permits; when all have ended fix the winner."""
    frame, finale = draft.frame, draft.experiment["finale"]
    now, later = finale["todo"][: max(draft.room, 0)], finale["todo"][max(draft.room, 0) :]
    if now:
        finalists = [{**finalist, "runs": list(finalist["runs"])} for finalist in finale["finalists"]]
        sources = await store.trials.many(frame.uid, [finalist["source"] for finalist in finalists])
        for index, run in now:
            source = sources[finalists[index]["source"]]
            row = draft.create(
                again(source),
                TrialRole.TRIAL_ROLE_FINALIST,
                seed=training_seed(frame.spec.seed, "finalist", source["n"], run),
                fidelity=_finalist_fidelity(frame),
                source=source["n"],
            )
            finalists[index]["runs"].append(row["n"])
        draft.fields["finale"] = {"finalists": finalists, "todo": later}
    elif not later and draft.counters["live"] == 0:
        await _fix_winner(draft, store)


async def _fix_winner(draft: Draft, store: Store) -> None:
    frame, finalists = draft.frame, draft.experiment["finale"]["finalists"]
    runs = await store.trials.many(frame.uid, [number for each in finalists for number in each["runs"]])
    order = standings(frame, finalists, runs)
    if not order:
        _fail(draft, "no finalist could be trained again")
        return
    name, sign = frame.signs[0]
    won = next(finalist for finalist in finalists if finalist["source"] == order[0].source)
    ended = [runs[number] for number in won["runs"] if runs[number]["state"] == COMPLETED]
    best = min(ended, key=lambda row: (sign * row["metrics"][name], row["n"]))
    ties = [other.source for other in order[1:] if tied(order[0], other)]
    draft.fields |= {"winner": best["n"], "winner_time": draft.write.now, "tied": ties}
    draft.event(
        EventKind.EVENT_KIND_WINNER_FIXED,
        message=f"trial {best['n']}, from trial {order[0].source}, by mean {name}",
        trial=trial_message(best, frame.name, points=()),
    )
    draft.enter(ExperimentPhase.EXPERIMENT_PHASE_TEST)
    tests = [row["n"] for row in runs.values() if row["state"] == COMPLETED]
    draft.fields["finale"] = {**draft.experiment["finale"], "tests": sorted(tests), "tested": []}


async def open_test(draft: Draft, store: Store) -> None:
    """Score each finalist's run on the test split, once."""
    finale = draft.experiment["finale"]
    room = max(draft.room, 0)
    now, later = finale["tests"][:room], finale["tests"][room:]
    if now:
        sources = await store.trials.many(draft.frame.uid, now)
        made = [_from_run(draft, sources[number], TrialRole.TRIAL_ROLE_TEST) for number in now]
        draft.fields["finale"] = {**finale, "tests": later, "tested": [*finale["tested"], *made]}
        if "test_time" not in draft.experiment:
            draft.fields["test_time"] = draft.write.now
    elif not later and draft.counters["live"] == 0:
        if draft.frame.reads_data:
            draft.enter(ExperimentPhase.EXPERIMENT_PHASE_EXPORT)
        else:
            # Nothing was trained here, so there is nothing to export.
            _succeed(draft)


async def export_winner(draft: Draft, store: Store) -> None:
    """Export the winner; a failed export fails the experiment, for its user asked for a model."""
    frame = draft.frame
    made = draft.experiment["finale"].get("export")
    if made is None:
        sources = await store.trials.many(frame.uid, [draft.experiment["winner"]])
        number = _from_run(draft, sources[draft.experiment["winner"]], TrialRole.TRIAL_ROLE_EXPORT)
        draft.fields["finale"] = {**draft.experiment["finale"], "export": number}
    elif draft.counters["live"] == 0:
        row = (await store.trials.many(frame.uid, [made]))[made]
        if row["state"] == COMPLETED:
            _succeed(draft)
        else:
            why = row.get("failure", {}).get("message") or "it was cancelled"
            _fail(draft, f"the winner could not be exported: {why}")


def _succeed(draft: Draft) -> None:
    draft.enter(ExperimentPhase.EXPERIMENT_PHASE_DONE)
    draft.change_state(ExperimentState.EXPERIMENT_STATE_SUCCEEDED)


def _fail(draft: Draft, reason: str) -> None:
    draft.enter(ExperimentPhase.EXPERIMENT_PHASE_DONE)
    draft.change_state(ExperimentState.EXPERIMENT_STATE_FAILED, reason)


def _from_run(draft: Draft, run: Document, role: TrialRole.ValueType) -> int:
    """A trial that works with the weights of a finalist's run."""
    more: dict[str, Any] = {"source": run["n"]}
    if run.get("checkpoint"):
        more["checkpoint"] = run["checkpoint"]
    if role == TrialRole.TRIAL_ROLE_EXPORT:
        more["exports"] = list(draft.frame.spec.finalists.exports)
    row = draft.create(again(run), role, seed=run["seed"], fidelity=run["fidelity"], **more)
    return int(row["n"])


def again(row: Document) -> Vetted:
    """The architecture of an earlier trial."""
    return Vetted(row["arch"], "", row["graph"], (), {})


def _finalist_fidelity(frame: Frame) -> bytes:
    fidelity: Fidelity = frame.spec.fidelity
    if frame.spec.finalists.HasField("fidelity"):
        fidelity = frame.spec.finalists.fidelity
    return fidelity.SerializeToString(deterministic=True)
