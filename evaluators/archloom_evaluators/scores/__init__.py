"""Training-free scores of a network (zero-cost proxies): what a proxy trial computes instead of training.

``CATALOGUE`` says which there are, without torch; ``compute`` computes them.
"""

from archloom_evaluators.scores.catalogue import CATALOGUE, NAMES

__all__ = ["CATALOGUE", "NAMES"]
