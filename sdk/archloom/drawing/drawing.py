"""From a network to its drawing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from archloom.drawing.difference import difference
from archloom.drawing.engines import DrawingUnavailable, engine_named
from archloom.drawing.picture import Picture, picture_of
from archloom.drawing.scene import scene_of
from archloom.drawing.svg import paint
from archloom.drawing.words import counted
from archloom.space import Graph

MOST_LAYERS = 3_000
"""More are not drawn."""


def draw(
    graph: Graph, *, title: str = "Network", notes: Sequence[str] = (), unfold: bool = False, engine: str = ""
) -> str:
    """The network as a standalone SVG: the same bytes for the same graph and engine.

    Repeated parts are shown once, unless unfolded. ``engine`` is ``dot``, ``graphlay`` or "" for the one
    that is there. Raises DrawingUnavailable.
    """
    return draw_picture(picture_of(graph), title=title, notes=notes, unfold=unfold, engine=engine)


def draw_difference(
    before: Graph,
    after: Graph,
    *,
    title: str = "Difference",
    notes: Sequence[str] = (),
    unfold: bool = False,
    engine: str = "",
) -> str:
    """Both networks in one: what was added, removed and changed from the first to the second."""
    found = difference(before, after)
    return _painted(found.picture, title, (found.sizes(), *found.lines(), *notes), unfold, engine)


def draw_picture(
    picture: Picture, *, title: str, notes: Sequence[str] = (), unfold: bool = False, engine: str = ""
) -> str:
    """Like ``draw``, of any picture."""
    total = [f"{len(picture.layers)} layers", f"{counted(picture.parameters)} parameters"]
    if picture.flops:
        total.append(f"{counted(picture.flops)} multiply-adds an example")
    return _painted(picture, title, (" · ".join(total), *notes), unfold, engine)


def _painted(picture: Picture, title: str, lines: Sequence[str], unfold: bool, engine: str) -> str:
    if len(picture.layers) > MOST_LAYERS:
        found = f"the network has {len(picture.layers):,} layers"
        raise DrawingUnavailable(f"{found}: at most {MOST_LAYERS:,} are drawn")
    scene = scene_of(picture, engine_named(engine), unfold)
    return paint(scene, title, lines, described(picture))


def described(picture: Picture) -> str:
    """The drawing in words, for those who do not see it."""
    counts = Counter(layer.operation for layer in picture.layers)
    listed = ", ".join(f"{count} {name}" for name, count in counts.most_common())
    return f"Layers from inputs to outputs: {listed}."
