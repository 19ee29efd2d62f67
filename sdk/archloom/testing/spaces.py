"""The search spaces of the conformance kit: small, and each with what breaks strategies."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from archloom.space import Space, load_preset

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

#: Eight architectures, all different networks.
TINY_SPACE = """
name: tiny
input: {x: {kind: image, shape: [3, 8, 8]}}
body:
  sequence:
    - {layer: conv, name: first, k: {choice: [1, 3]}, out: {choice: [4, 8]}}
    - {layer: conv, name: second, k: {choice: [1, 3]}}
"""

#: Floats in the network and in the recipe, a subset, a condition, and constraints that many draws break.
MIXED_SPACE = """
name: mixed
let:
  width: {int: [4, 24, 4]}
  keep: {float: [0.1, 0.9]}
  blocks: {int: [1, 3]}
input: {x: {kind: image, shape: [3, 8, 8]}}
body:
  sequence:
    - name: body
      repeat:
        count: =blocks
        decisions: free
        body:
          sequence:
            - {layer: conv, k: {choice: [1, 3]}, out: =width}
            - {layer: dropout, p: =keep, when: width > 8}
constraints: [width * blocks <= 36, params <= 12000]
recipe:
  lr: {log: [1.0e-4, 1.0e-1]}
  augment: {subset: {of: [flip, crop, colour], min: 0, max: 2}}
"""

#: A cell of three edges, written in 27 ways that make 12 networks.
TWINS_SPACE = """
name: twins
input: {x: {kind: image, shape: [3, 8, 8]}}
body:
  sequence:
    - {layer: conv, name: stem, k: 1, out: 4}
    - name: cell
      cell:
        nodes: 2
        edges: dense
        ops:
          none: {layer: zero}
          skip: {layer: identity}
          conv: {layer: conv, k: 3, out: 4}
"""

SPACES = ("tree", "nasbench201", "mixed")
"""Those of the long searches."""

_TEXTS: Mapping[str, str] = {
    "tree": TREE_SPACE,
    "tiny": TINY_SPACE,
    "mixed": MIXED_SPACE,
    "twins": TWINS_SPACE,
}


@cache
def space_named(name: str) -> Space:
    """One of the above, or a preset."""
    return Space.from_yaml(_TEXTS[name]) if name in _TEXTS else load_preset(name)
