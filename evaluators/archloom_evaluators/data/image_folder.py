"""``folder:PATH``: one folder for each class, images inside (PNG, JPEG, BMP, GIF, TIFF, WebP), all of one
size.

Classes are numbered in the order of their folders' names. Images are read as RGB, or as grey when all of
them are.
Split 60/20/20, each class alike.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from archloom_evaluators.data.dataset import Dataset, make_dataset
from archloom_evaluators.data.paths import Roots
from archloom_evaluators.failures import EvaluationFailure, Reason

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"})
GREY_MODES = frozenset({"1", "L", "I;16", "I"})
MAX_VALUES = 2 * 1024**3


def load(path: Path, roots: Roots) -> Dataset:
    """The data set in a folder.

    Raises EvaluationFailure with DATA; a link that leaves the roots is refused.
    """
    if not path.is_dir():
        raise EvaluationFailure(Reason.DATA, f"{path.name} is not a folder")
    folders = sorted(entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if len(folders) < 2:
        raise EvaluationFailure(Reason.DATA, f"{path.name} needs a folder for each of at least 2 classes")
    files: list[Path] = []
    targets: list[int] = []
    for label, folder in enumerate(folders):
        found = sorted(entry for entry in folder.iterdir() if entry.suffix.lower() in SUFFIXES)
        files += found
        targets += [label] * len(found)
    for file in files:
        if not roots.holds(file):
            raise EvaluationFailure(
                Reason.DATA, f"{file.parent.name}/{file.name} leads outside the data roots"
            )
    images = _read_all(files)
    return make_dataset(
        f"folder:{path.name}",
        f"{len(files)} images of {len(folders)} classes from {path.name}",
        images,
        np.array(targets, dtype=np.int64),
        class_names=[folder.name for folder in folders],
    )


def _read_all(files: list[Path]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    grey = True
    arrays = []
    size: tuple[int, int] | None = None
    total = 0
    for file in files:
        name = f"{file.parent.name}/{file.name}"
        try:
            with Image.open(file) as image:
                size = size or image.size
                if image.size != size:
                    raise EvaluationFailure(
                        Reason.DATA, f"{name} has size {image.size}, the first image {size}: all must agree"
                    )
                grey = grey and image.mode in GREY_MODES
                arrays.append(np.asarray(image.convert("RGB"), dtype=np.uint8))
        except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
            raise EvaluationFailure(Reason.DATA, f"{name} cannot be read: {error}") from error
        total += arrays[-1].size
        if total > MAX_VALUES:
            raise EvaluationFailure(Reason.DATA, f"more than {MAX_VALUES} values: too large for memory")
    if not arrays:
        raise EvaluationFailure(Reason.DATA, "no images were found")
    stacked = np.moveaxis(np.stack(arrays), -1, 1)
    return stacked[:, :1] if grey else stacked
