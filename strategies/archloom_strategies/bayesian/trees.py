"""An ensemble in place of the Gaussian process: extremely randomised trees, whose disagreement is the doubt.

Geurts, Ernst and Wehenkel, "Extremely randomized trees", 2006; as surrogate: Hutter, Hoos and Leyton-Brown,
"Sequential Model-Based Optimization for General Algorithm Configuration", 2011. Trees know no distance: they
hold where the objective jumps, and their doubt does not grow far from what was seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archloom_strategies.bayesian.beliefs import Beliefs, EnsembleBeliefs
from archloom_strategies.bayesian.process import Rows

Vector = NDArray[np.float64]

TREES = 64


@dataclass(frozen=True)
class TreesSurrogate:
    forest: Any
    best: float
    pending: Rows | None

    @staticmethod
    def fitted(rows: Rows, targets: Vector, pending: Rows | None, seed: int) -> TreesSurrogate:
        from sklearn.ensemble import ExtraTreesRegressor

        forest = ExtraTreesRegressor(TREES, max_features=0.3, bootstrap=True, random_state=seed % 2**32)
        forest.fit(_joined(rows), targets)
        return TreesSurrogate(forest, float(forest.predict(_joined(rows)).max()), pending)

    def beliefs(self, rows: Rows) -> Beliefs:
        shown = rows if self.pending is None else rows.joined(self.pending)
        inputs = _joined(shown)
        said = np.stack([tree.predict(inputs) for tree in self.forest.estimators_])
        return EnsembleBeliefs(said, shown=len(rows))


def _joined(rows: Rows) -> NDArray[np.float32]:
    return np.concatenate(rows.blocks, axis=1).astype(np.float32)
