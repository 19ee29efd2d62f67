"""A data set as an evaluator sees it.

Fixed splits, normalisation from the training part, a sealed test part.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from archloom_evaluators.failures import EvaluationFailure, Reason

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

SPLIT_SEED = 0


@dataclass(frozen=True)
class Split:
    """``inputs`` [n, c, h, w] (or [n, c] for vectors), float32, normalised.

    ``targets`` [n], class numbers.
    """

    inputs: Floats
    targets: Integers

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True)
class Indices:
    """Which examples stand in which part; ascending."""

    train: Integers
    validation: Integers
    test: Integers


@dataclass(frozen=True)
class Normalisation:
    """(x - mean) / deviation for each channel, learnt from the training part alone."""

    mean: tuple[float, ...]
    deviation: tuple[float, ...]


@dataclass(frozen=True)
class Dataset:
    """A classification data set with three fixed parts. The test part opens with a grant only."""

    name: str
    summary: str
    #: Of one example, channels first.
    shape: tuple[int, ...]
    classes: int
    train: Split
    validation: Split
    normalisation: Normalisation
    #: Identifies content and split.
    digest: str
    test_size: int
    #: What training may do to an example without changing its class: "shift", "rotate", "flip".
    augmentations: frozenset[str] = frozenset()
    class_names: tuple[str, ...] = ()
    task_kind: str = "classification"
    _test: Split = field(repr=False, kw_only=True)

    def test(self, grant: str) -> Split:
        """The test part. ``grant`` comes with a TEST lease and nowhere else.

        Raises EvaluationFailure with DATA without one.
        """
        if not grant:
            raise EvaluationFailure(
                Reason.DATA, f"the test split of {self.name} is sealed: this trial has no grant"
            )
        return self._test


def stratified(targets: Integers, seed: int = SPLIT_SEED, held_out: float = 0.2) -> Indices:
    """Splits 60/20/20, each class alike, the same in every process and version.

    An example's place follows from a hash of (seed, its index), not from a generator whose stream a library
    may change.
    """
    parts: tuple[list[int], list[int], list[int]] = ([], [], [])
    for label in np.unique(targets):
        members = [int(index) for index in np.flatnonzero(targets == label)]
        members.sort(key=lambda index: hashlib.sha256(f"{seed}:{index}".encode()).digest())
        count = round(len(members) * held_out)
        if len(members) - 2 * count < 1 or count < 1:
            raise EvaluationFailure(
                Reason.DATA, f"class {label} has {len(members)} examples; each class needs at least 3"
            )
        parts[0].extend(members[2 * count :])
        parts[1].extend(members[:count])
        parts[2].extend(members[count : 2 * count])
    train, validation, test = (np.array(sorted(part), dtype=np.int64) for part in parts)
    return Indices(train, validation, test)


def make_dataset(
    name: str,
    summary: str,
    inputs: npt.NDArray[np.generic],
    targets: npt.NDArray[np.generic],
    *,
    indices: Indices | None = None,
    augmentations: Sequence[str] = (),
    class_names: Sequence[str] = (),
) -> Dataset:
    """Splits, normalises and digests.

    ``inputs`` [n, c, h, w] or [n, c], any number type; ``targets`` [n], classes from 0 without a gap.
    Raises EvaluationFailure with DATA when they do not fit together.
    """
    labels = _checked_targets(targets)
    if len(inputs) != len(labels) or inputs.ndim not in (2, 4) or inputs.size == 0:
        raise EvaluationFailure(
            Reason.DATA, f"{name}: inputs of shape {inputs.shape} do not go with {len(labels)} targets"
        )
    values = np.ascontiguousarray(inputs, dtype=np.float32)
    if not np.isfinite(values).all():
        raise EvaluationFailure(Reason.DATA, f"{name}: an input is not a finite number")
    indices = indices or stratified(labels)
    digest = _digest(inputs, labels, indices)
    normalisation = _normalisation(values[indices.train])
    shape = (1, -1) + (1,) * (values.ndim - 2)
    values -= np.array(normalisation.mean, dtype=np.float32).reshape(shape)
    values /= np.array(normalisation.deviation, dtype=np.float32).reshape(shape)

    def part(chosen: Integers) -> Split:
        split = Split(values[chosen], labels[chosen])
        split.inputs.flags.writeable = False
        split.targets.flags.writeable = False
        return split

    return Dataset(
        name=name,
        summary=summary,
        shape=tuple(int(size) for size in values.shape[1:]),
        classes=int(labels.max()) + 1,
        train=part(indices.train),
        validation=part(indices.validation),
        normalisation=normalisation,
        digest=digest,
        test_size=len(indices.test),
        augmentations=frozenset(augmentations),
        class_names=tuple(class_names),
        _test=part(indices.test),
    )


def _checked_targets(targets: npt.NDArray[np.generic]) -> Integers:
    if targets.ndim != 1 or not np.issubdtype(targets.dtype, np.integer) or len(targets) == 0:
        raise EvaluationFailure(
            Reason.DATA, f"targets must be one row of class numbers, not {targets.dtype}{list(targets.shape)}"
        )
    labels = targets.astype(np.int64)
    found = np.unique(labels)
    if found[0] != 0 or found[-1] != len(found) - 1 or len(found) < 2:
        raise EvaluationFailure(
            Reason.DATA, "classes must be numbered from 0 without a gap, and there must be at least 2"
        )
    return labels


def _normalisation(train: Floats) -> Normalisation:
    axes = (0,) if train.ndim == 2 else (0, 2, 3)
    mean = train.mean(axis=axes, dtype=np.float64)
    deviation = train.std(axis=axes, dtype=np.float64)
    # A channel that never changes carries nothing; dividing by zero would make it a NaN.
    deviation = np.where(deviation > 1e-6, deviation, 1.0)
    return Normalisation(
        tuple(float(np.float32(value)) for value in mean),
        tuple(float(np.float32(value)) for value in deviation),
    )


def _digest(inputs: npt.NDArray[np.generic], labels: Integers, indices: Indices) -> str:
    digest = hashlib.sha256(f"{inputs.dtype.str}{inputs.shape}".encode())
    digest.update(np.ascontiguousarray(inputs).tobytes())
    for numbers in (labels, indices.train, indices.validation, indices.test):
        digest.update(np.ascontiguousarray(numbers).tobytes())
    return digest.hexdigest()
