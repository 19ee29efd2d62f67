"""A whole search as one digest, so that two processes can be compared: ``python -m archloom.testing.probe
FILE CLASS SETTINGS TRIALS``.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
from collections.abc import Mapping
from typing import Any

from archloom.space import Space
from archloom.strategy.plugin import Plugin
from archloom.strategy.runtime import StrategyRuntime
from archloom.strategy.values import Objective, SearchSpec
from archloom.testing.rehearsal import rehearse
from archloom.testing.session import Session

#: Choices under choices, a searched depth, a recipe: decisions come and go. 1,080 architectures.
TREE_SPACE = """
name: tree
input: {x: {kind: image, shape: [3, 16, 16]}}
body:
  sequence:
    - {layer: conv, name: stem, k: {choice: [1, 3, 5]}, out: {int: [8, 32, 8]}}
    - name: middle
      choice:
        plain: {layer: conv, k: {choice: [1, 3]}}
        pooled: {layer: avg_pool, k: 3}
        deep:
          repeat:
            count: {int: [1, 2]}
            decisions: free
            body: {layer: conv, k: {choice: [1, 3, 5]}, out: {choice: [8, 16]}}
recipe:
  optimizer: {choice: [sgd, adamw]}
"""

#: Eight architectures.
TINY_SPACE = """
name: tiny
input: {x: {kind: image, shape: [3, 8, 8]}}
body:
  sequence:
    - {layer: conv, name: first, k: {choice: [1, 3]}, out: {choice: [4, 8]}}
    - {layer: conv, name: second, k: {choice: [1, 3]}}
"""


def digest_of_answers(plugin: Plugin, settings: Mapping[str, Any], trials: int) -> str:
    """The sha256 of every answer of a search in the tree space."""
    spec = SearchSpec(
        space=Space.from_yaml(TREE_SPACE),
        objectives=(Objective("val_accuracy"),),
        trials=trials,
        parallelism=4,
    )
    result = rehearse(Session(plugin, spec, settings, seed=3), spec, trials=trials, parallel=4)
    digest = hashlib.sha256()
    for _, answer in result.session.record:
        digest.update(answer.SerializeToString(deterministic=True))
    return digest.hexdigest()


def main(file: str, class_name: str, settings: str, trials: str) -> None:
    found = importlib.util.spec_from_file_location("probed", file)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules["probed"] = module
    found.loader.exec_module(module)
    kind: Any = module
    for part in class_name.split("."):
        kind = getattr(kind, part)
    print(digest_of_answers(StrategyRuntime(kind()), json.loads(settings), int(trials)))


if __name__ == "__main__":
    main(*sys.argv[1:])
