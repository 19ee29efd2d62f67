"""The fidelities of a search, lowest first: its rungs.

Each rung trains ``eta`` times longer than the one below (Jamieson and Talwalkar, "Non-stochastic Best Arm
Identification and Hyperparameter Optimization", AISTATS 2016).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from archloom.errors import Violation
from archloom.strategy import Fidelity, SearchSpec

from archloom_strategies.multi_fidelity.settings import MultiFidelitySettings

Dimension = Literal["epochs", "data_fraction"]
#: Rungs below the full fidelity, unless the settings say otherwise.
LOWER_RUNGS = 3


@dataclass(frozen=True)
class Ladder:
    """``levels`` ascend; the last one is the full fidelity's."""

    dimension: Dimension
    levels: tuple[float, ...]
    full: Fidelity

    @property
    def top(self) -> int:
        return len(self.levels) - 1

    def fidelity(self, rung: int) -> Fidelity | None:
        """None, a proposal's full fidelity, for the highest rung."""
        if rung == self.top:
            return None
        if self.dimension == "epochs":
            return replace(self.full, epochs=round(self.levels[rung]))
        return replace(self.full, data_fraction=self.levels[rung])

    def rung(self, fidelity: Fidelity) -> int | None:
        """Of a trial: the highest rung that it is not short of; None for scores without training, and for
        what is below the lowest.
        """
        if fidelity.proxies:
            return None
        if fidelity in (self.full, Fidelity()):
            return self.top
        level = float(fidelity.epochs) if self.dimension == "epochs" else fidelity.data_fraction
        return self.reached(level)

    def reached(self, level: float) -> int | None:
        reached = [rung for rung, each in enumerate(self.levels) if each <= level * (1 + 1e-9)]
        return reached[-1] if reached else None

    def promoted(self, rung: int, ended: int) -> int:
        """How many of a rung's trials go on to the next: as many as let both rungs cost the same."""
        return math.floor(ended * self.levels[rung] / self.levels[rung + 1] + 1e-9)

    @property
    def shares(self) -> tuple[float, ...]:
        """Of what begins at the lowest rung, what reaches each rung."""
        return tuple(self.levels[0] / level for level in self.levels)


def dimension_of(spec: SearchSpec) -> Dimension | None:
    if spec.fidelity.epochs > 0:
        return "epochs"
    return "data_fraction" if spec.fidelity.data_fraction > 0 else None


def ladder_of(spec: SearchSpec, settings: MultiFidelitySettings) -> Ladder:
    """Of a spec and settings in which ``faults`` finds nothing."""
    dimension = dimension_of(spec)
    if dimension is None:
        return Ladder("epochs", (1.0,), spec.fidelity)
    if dimension == "epochs":
        full = float(spec.fidelity.epochs)
        least = float(settings.min_epochs or 1)
        steps = math.inf if settings.min_epochs else LOWER_RUNGS
    else:
        full = spec.fidelity.data_fraction
        least = settings.min_data_fraction or 0.0
        steps = math.inf if settings.min_data_fraction else LOWER_RUNGS
    if settings.rungs is not None:
        lower = list(settings.rungs)
    else:
        lower = []
        level = full / settings.eta
        while len(lower) < steps and level >= least * (1 - 1e-9):
            lower.append(float(round(level)) if dimension == "epochs" else level)
            level /= settings.eta
    if dimension == "epochs":
        lower = [float(round(level)) for level in lower]
    levels = sorted({level for level in lower if level >= max(least, 1e-9)} - {full})
    return Ladder(dimension, (*levels, full), spec.fidelity)


def faults(spec: SearchSpec, settings: MultiFidelitySettings) -> Iterator[Violation]:
    """Why a search has no rungs."""
    dimension = dimension_of(spec)
    if dimension is None:
        yield Violation(
            "fidelity.epochs",
            "the full fidelity says neither epochs nor data_fraction, so there is nothing to do less of; "
            "write for example fidelity: {epochs: 27}",
        )
        return
    full = float(spec.fidelity.epochs) if dimension == "epochs" else spec.fidelity.data_fraction
    least = settings.min_epochs if dimension == "epochs" else settings.min_data_fraction
    if settings.rungs is not None:
        if settings.rungs[-1] >= full:
            yield Violation(
                "settings.rungs", f"{settings.rungs[-1]:g} is not below the full fidelity's {full:g}"
            )
        elif dimension == "epochs" and any(level != int(level) for level in settings.rungs):
            yield Violation("settings.rungs", "epochs are whole numbers")
    elif least is not None and least >= full:
        yield Violation(f"settings.min_{dimension}", f"{least:g} is not below the full fidelity's {full:g}")
    elif len(ladder_of(spec, settings).levels) == 1:
        yield Violation(
            "fidelity.epochs" if dimension == "epochs" else "fidelity.data_fraction",
            f"{full:g} leaves no room for a lower rung with eta {settings.eta:g}: "
            "train longer, or set a smaller eta",
        )
