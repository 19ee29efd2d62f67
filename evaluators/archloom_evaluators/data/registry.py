"""Data sets by name, found by entry point, and by path under the operator's roots.

Each is read once per process.
"""

from __future__ import annotations

import logging
import threading
from importlib.metadata import entry_points

from archloom.v1 import registry_pb2

from archloom_evaluators.data.dataset import Dataset
from archloom_evaluators.data.paths import Roots
from archloom_evaluators.failures import EvaluationFailure, Reason

log = logging.getLogger("archloom.worker")

DATASETS = "archloom.datasets"
SCHEMES = ("npz", "folder")
KEPT_PATHS = 4

_lock = threading.RLock()
_named: dict[str, Dataset] = {}
_by_path: dict[tuple[str, str, int], Dataset] = {}


def dataset_names() -> tuple[str, ...]:
    """The installed data sets."""
    return tuple(sorted({point.name for point in entry_points(group=DATASETS)}))


def load_dataset(name: str, roots: Roots) -> Dataset:
    """A data set by name, or by ``npz:PATH`` and ``folder:PATH``. Raises EvaluationFailure with DATA."""
    with _lock:
        scheme, separator, path = name.partition(":")
        if separator:
            return _load_path(scheme, path, roots)
        if name not in _named:
            found = [point for point in entry_points(group=DATASETS) if point.name == name]
            if not found:
                raise EvaluationFailure(
                    Reason.DATA, f"there is no data set {name!r} here; there are {', '.join(dataset_names())}"
                )
            _named[name] = found[0].load()()
        return _named[name]


def _load_path(scheme: str, path: str, roots: Roots) -> Dataset:
    if scheme not in SCHEMES:
        raise EvaluationFailure(
            Reason.DATA, f"{scheme!r} is not a kind of data set; there are {', '.join(SCHEMES)}"
        )
    real = roots.resolve(path)
    key = (scheme, str(real), real.stat().st_mtime_ns)
    if key not in _by_path:
        from archloom_evaluators.data import image_folder, npz

        if len(_by_path) >= KEPT_PATHS:
            del _by_path[next(iter(_by_path))]
        _by_path[key] = npz.load(real) if scheme == "npz" else image_folder.load(real, roots)
    return _by_path[key]


def described_datasets() -> list[registry_pb2.Dataset]:
    """What a worker tells of its named data sets. One that cannot be read is left out, and logged."""
    described = []
    for name in dataset_names():
        try:
            dataset = load_dataset(name, Roots())
        except (EvaluationFailure, ImportError, OSError) as error:
            log.warning("data set %s is left out: %s", name, error)
            continue
        described.append(describe(dataset))
    return described


def describe(dataset: Dataset) -> registry_pb2.Dataset:
    return registry_pb2.Dataset(
        name=f"datasets/{dataset.name}",
        summary=dataset.summary,
        task_kind=dataset.task_kind,
        shape=dataset.shape,
        classes=dataset.classes,
        splits=registry_pb2.DatasetSplits(
            train=len(dataset.train), validation=len(dataset.validation), test=dataset.test_size
        ),
        digest=dataset.digest,
    )
