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

from archloom.strategy.plugin import Plugin
from archloom.strategy.runtime import StrategyRuntime
from archloom.strategy.values import Objective, SearchSpec
from archloom.testing.rehearsal import rehearse
from archloom.testing.session import Session
from archloom.testing.spaces import TINY_SPACE, TREE_SPACE, space_named

__all__ = ["TINY_SPACE", "TREE_SPACE", "digest_of_answers"]


def digest_of_answers(plugin: Plugin, settings: Mapping[str, Any], trials: int) -> str:
    """The sha256 of every answer of a search in the tree space."""
    spec = SearchSpec(
        space=space_named("tree"),
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
