"""``npz:PATH``: arrays of one's own in NumPy's format.

Either ``x`` and ``y``, split 60/20/20 with each class alike, or ``x_train``, ``y_train``, ``x_validation``,
``y_validation``,
``x_test`` and ``y_test``. ``x`` is [n, features], [n, height, width], [n, channels, height, width], or [n,
height, width, channels]
with 1, 3 or 4 channels; ``y`` is [n], classes from 0. Optional: ``augmentations``, names among shift,
rotate and flip.
Nothing in the file is unpickled.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from archloom_evaluators.data.dataset import Dataset, Indices, make_dataset
from archloom_evaluators.failures import EvaluationFailure, Reason

MAX_BYTES = 8 * 1024**3
PARTS = ("train", "validation", "test")
AUGMENTATIONS = ("shift", "rotate", "flip")

Array = npt.NDArray[np.generic]


def load(path: Path) -> Dataset:
    """The data set in a file. Raises EvaluationFailure with DATA."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > MAX_BYTES:
            raise EvaluationFailure(
                Reason.DATA, f"{path.name} unpacks to {size} bytes, more than {MAX_BYTES}"
            )
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise EvaluationFailure(Reason.DATA, f"{path.name} cannot be read: {error}") from error
    inputs, targets, indices = _parts(path.name, arrays)
    return make_dataset(
        f"npz:{path.name}",
        f"{len(targets)} examples from {path.name}",
        images(inputs, path.name),
        targets,
        indices=indices,
        augmentations=_augmentations(path.name, arrays),
    )


def images(inputs: Array, name: str) -> Array:
    """Any allowed layout as [n, c] or [n, c, h, w]."""
    if inputs.dtype.kind not in "buif":
        raise EvaluationFailure(Reason.DATA, f"{name}: x must hold numbers, not {inputs.dtype}")
    if inputs.ndim == 2:
        return inputs
    if inputs.ndim == 3:
        return inputs[:, None]
    if inputs.ndim == 4:
        channels_last = inputs.shape[-1] in (1, 3, 4) and inputs.shape[1] not in (1, 3, 4)
        return np.moveaxis(inputs, -1, 1) if channels_last else inputs
    raise EvaluationFailure(Reason.DATA, f"{name}: x must have 2, 3 or 4 axes, not {inputs.ndim}")


def _parts(name: str, arrays: dict[str, Array]) -> tuple[Array, Array, Indices | None]:
    if "x" in arrays and "y" in arrays:
        return arrays["x"], arrays["y"], None
    wanted = [f"{letter}_{part}" for part in PARTS for letter in "xy"]
    missing = [key for key in wanted if key not in arrays]
    if missing:
        raise EvaluationFailure(
            Reason.DATA,
            f"{name} has neither x and y nor all of {', '.join(wanted)} (no {', '.join(missing)})",
        )
    for part in PARTS:
        if len(arrays[f"x_{part}"]) != len(arrays[f"y_{part}"]) or not len(arrays[f"y_{part}"]):
            raise EvaluationFailure(Reason.DATA, f"{name}: x_{part} and y_{part} do not go together")
    try:
        inputs = np.concatenate([arrays[f"x_{part}"] for part in PARTS])
        targets = np.concatenate([arrays[f"y_{part}"] for part in PARTS])
    except ValueError as error:
        raise EvaluationFailure(Reason.DATA, f"{name}: the parts differ in shape: {error}") from error
    ends = np.cumsum([len(arrays[f"y_{part}"]) for part in PARTS])
    train, validation, test = (
        np.arange(end - len(arrays[f"y_{part}"]), end, dtype=np.int64)
        for part, end in zip(PARTS, ends, strict=True)
    )
    return inputs, targets, Indices(train, validation, test)


def _augmentations(name: str, arrays: dict[str, Array]) -> tuple[str, ...]:
    if "augmentations" not in arrays:
        return ()
    names = tuple(str(value) for value in np.atleast_1d(arrays["augmentations"]))
    unknown = [value for value in names if value not in AUGMENTATIONS]
    if unknown:
        raise EvaluationFailure(Reason.DATA, f"{name}: there is no augmentation {', '.join(unknown)}")
    return names
