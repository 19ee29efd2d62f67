"""Between architectures of the preset nasbench201 and NAS-Bench-201's own names,
``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``.

Node 1 reads tensor 0; node 2 reads 0 and 1; node 3 reads 0, 1 and 2 (Dong and Yang 2020).
"""

from __future__ import annotations

import re

from archloom.space.architecture import Architecture
from archloom.space.errors import SpaceError, Violation, suggest

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
_EDGES = tuple((node, source) for node in (1, 2, 3) for source in range(node))
PATHS = tuple(f"stage.cell.node[{node}].edge[{source}]" for node, source in _EDGES)


def to_arch_string(architecture: Architecture) -> str:
    """The name that NAS-Bench-201's tables have for it; raises SpaceError for an architecture of another
    space.
    """
    missing = [path for path in PATHS if architecture.decisions.get(path) not in OPERATIONS]
    if missing or len(architecture) != len(PATHS):
        raise SpaceError([Violation(path, "is no edge of NAS-Bench-201") for path in missing or architecture])
    given = architecture.decisions
    a, b, c, d, e, f = [given[path] for path in PATHS]
    return f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"


def from_arch_string(text: str) -> Architecture:
    """The architecture of that name; raises SpaceError."""
    edges = re.findall(r"([^|+~]+)~(\d+)", text)
    if not re.fullmatch(r"\|[^|+]+\|\+\|[^|+]+\|[^|+]+\|\+\|[^|+]+\|[^|+]+\|[^|+]+\|", text) or [
        int(source) for _, source in edges
    ] != [source for _, source in _EDGES]:
        raise SpaceError(
            [Violation("arch", f"expected |op~0|+|op~0|op~1|+|op~0|op~1|op~2|, found {text[:200]!r}")]
        )
    for name, _ in edges:
        if name not in OPERATIONS:
            raise SpaceError(
                [Violation("arch", f"there is no operation {name!r}{suggest(name, OPERATIONS)}")]
            )
    return Architecture(dict(zip(PATHS, (name for name, _ in edges), strict=True)))
