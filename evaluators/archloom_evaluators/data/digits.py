"""``digits``: scikit-learn's 1,797 handwritten digits of 8x8 pixels."""

from __future__ import annotations

import numpy as np

from archloom_evaluators.data.dataset import Dataset, make_dataset


def load() -> Dataset:
    """Inputs [1, 8, 8]; 10 classes; split 60/20/20, each class alike."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = bunch.images.astype(np.uint8)[:, None]
    return make_dataset(
        "digits",
        "1,797 handwritten digits of 8x8 pixels (scikit-learn)",
        images,
        bunch.target.astype(np.int64),
        augmentations=("shift", "rotate"),
        class_names=[str(digit) for digit in range(10)],
    )
