"""Reference directions, by which many objectives keep a front wide where crowding no longer does.

Das and Dennis, "Normal-Boundary Intersection", 1998; Deb and Jain, "An Evolutionary Many-Objective
Optimization Algorithm Using Reference-Point-Based Nondominated Sorting Approach, Part I" (NSGA-III), 2014.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from archloom_strategies.selection import Scores


def directions(objectives: int, most: int) -> NDArray[np.float64]:
    """Points of the simplex at even distances, [points, objectives]: the finest lattice of at most ``most``
    points, or the corners.
    """
    divisions = 1
    while objectives > 1 and math.comb(divisions + objectives, objectives - 1) <= most:
        divisions += 1
    places = divisions + objectives - 1
    bars = [(-1, *chosen, places) for chosen in combinations(range(places), objectives - 1)]
    return (np.diff(np.array(bars, float), axis=1) - 1.0) / divisions


def niches(
    scores: Sequence[Scores], best: Sequence[Scores], lines: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """The direction nearest to each trial, and how far off it lies, both [trials].

    Each objective is measured by its range in ``best``, the first front. The paper takes the intercepts of
    the plane through the extreme points, which fails where they lie in no plane, and then falls back to
    this range.
    """
    front = np.array(best, float)
    ideal, width = front.max(0), np.ptp(front, axis=0)
    costs = (ideal - np.array(scores, float)) / np.where(width > 0, width, 1.0)
    units = lines / np.linalg.norm(lines, axis=1, keepdims=True)
    along = costs @ units.T
    off = np.linalg.norm(costs[:, None, :] - along[:, :, None] * units[None], axis=2)
    nearest = off.argmin(1)
    return nearest, off[np.arange(len(nearest)), nearest]
