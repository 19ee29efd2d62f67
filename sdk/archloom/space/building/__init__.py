"""From decisions to the network: the tree is walked once, and each layer is emitted with its shape resolved.

Identity and zero parts vanish while walking (a sum forgets a zero term, a product with a zero is zero); what
nothing reads is pruned at the end.
"""

from archloom.space.building.network import build_graph, resolve_recipe
from archloom.space.building.patterns import Patterns

__all__ = ["Patterns", "build_graph", "resolve_recipe"]
