"""The training-free scores against published ones and against accuracy, on cells of NAS-Bench-201.

    python benchmarks/scores.py FOLDER [--cells 200] [--examples 64] [--seed 0] [--scores naswot,synflow]

FOLDER holds nb201_zc_proxies_cifar10.csv.gz and nb201_cifar10_200ep.csv.gz. Cells are drawn among those with
published scores; networks have the official skeleton, weights and inputs are random. Ends with 1 when naswot
or synflow is less than .9 (Spearman) from the published column.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from pathlib import Path

import torch
from archloom.bench.proxies import COLUMNS
from archloom.space import load_preset, nasbench201
from archloom.tables import arch_keys, read_table
from archloom_evaluators.scores import NAMES
from archloom_evaluators.scores.live import LiveScores
from scipy.stats import spearmanr

#: What must be reached of the published columns.
LEAST = {"naswot": 0.9, "synflow": 0.9}
ACCURACY = "cifar10_test_mean"


def main() -> int:
    """Prints a line for each score."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cells", type=int, default=200)
    parser.add_argument("--examples", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scores", default=",".join(NAMES))
    options = parser.parse_args()
    torch.set_num_threads(1)
    scored = read_table(options.folder / "nb201_zc_proxies_cifar10.csv.gz", arch_keys())
    trained = read_table(options.folder / "nb201_cifar10_200ep.csv.gz", arch_keys(), [ACCURACY])
    accuracy = trained.column(ACCURACY, "metric")
    cells = random.Random(options.seed).sample(sorted(scored.cells), options.cells)
    scorer = LiveScores(load_preset("nasbench201"), examples=options.examples)
    failed = False
    print(f"{'score':<12}{'published':>10}{'accuracy':>10}{'published to it':>17}{'s a cell':>10}")
    for name in options.scores.split(","):
        began = time.process_time()
        found = [scorer(nasbench201.from_arch_string(cell), [name])[name] for (cell,) in cells]
        seconds = (time.process_time() - began) / len(cells)
        column = scored.column(COLUMNS.get(name, name), "score")
        published = [column[cell] for cell in cells]
        results = [accuracy[cell] for cell in cells]
        agreement = float(spearmanr(found, published)[0])
        failed |= agreement < LEAST.get(name, -1.0)
        rest = [float(spearmanr(each, results)[0]) for each in (found, published)]
        print(f"{name:<12}{agreement:>10.4f}{rest[0]:>10.3f}{rest[1]:>17.3f}{seconds:>10.3f}", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
