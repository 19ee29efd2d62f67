"""Whether all architectures of a space surely fit together, so that none needs to be built to know it.

The tree is walked once with all decisions open at the same time: what flows are the shapes that there may be.
Each decision is followed where it stands, for all of its values, and forgotten as soon as nothing depends on
it; tied decisions are followed as if they were free. So more is looked at than there is, and where nothing of
it fails, nothing ever fails. Where something may fail, or there is too much to follow, the answer is no.
"""

from __future__ import annotations

from archloom.space.errors import BuildError
from archloom.space.fitting.certainty import cells, layers, nodes
from archloom.space.fitting.certainty.explorer import Explorer, Unsure
from archloom.space.language.expressions import ExpressionError
from archloom.space.language.tree import SpaceTree

__all__ = ["cells", "layers", "nodes", "surely_fits"]


def surely_fits(space: SpaceTree) -> bool:
    """Whether every architecture's network can be built. False where that is not sure."""
    try:
        Explorer(space).explore()
    except (Unsure, BuildError, ExpressionError):
        return False
    return True
