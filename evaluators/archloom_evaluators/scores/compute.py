"""Scores by their names."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

from archloom_evaluators.build import BuildFailed
from archloom_evaluators.failures import is_out_of_memory
from archloom_evaluators.scores.codes import naswot
from archloom_evaluators.scores.gradients import grad_norm, snip
from archloom_evaluators.scores.jacobian import jacob_cov
from archloom_evaluators.scores.subject import NoScore, Subject
from archloom_evaluators.scores.synflow import synflow
from archloom_evaluators.scores.zen import zen

SCORES: Mapping[str, Callable[[Subject], float]] = {
    "parameters": lambda subject: float(subject.graph.parameters),
    "flops": lambda subject: float(subject.graph.flops),
    "synflow": synflow,
    "naswot": naswot,
    "jacob_cov": jacob_cov,
    "snip": snip,
    "grad_norm": grad_norm,
    "zen": zen,
}


def compute(names: Sequence[str], subject: Subject) -> Iterator[tuple[str, float | str]]:
    """Of each name the score, a finite number, or a sentence why this network has none.

    Raises BuildFailed when the network cannot be built, and what memory that is not enough raises.
    """
    if any(name not in ("parameters", "flops") for name in names):
        subject.module  # noqa: B018 - a network that cannot be built has no scores
    for name in names:
        yield name, _one(SCORES[name], subject)


def _one(score: Callable[[Subject], float], subject: Subject) -> float | str:
    try:
        value = score(subject)
    except NoScore as none:
        return str(none)
    except BuildFailed:
        raise
    except (RuntimeError, ValueError, TypeError, NotImplementedError) as error:
        if is_out_of_memory(error):
            raise
        return f"{type(error).__name__}: {error}"
    return value if math.isfinite(value) else f"it is no finite number but {value}"
