"""Drawings of networks, and of what differs between two, as SVG.

They need a layout engine: graphviz's ``dot`` on PATH, or the extra ``archloom[drawing]``.
"""

from archloom.drawing.difference import Difference, difference
from archloom.drawing.drawing import draw, draw_difference, draw_picture
from archloom.drawing.engines import ENGINES, DrawingUnavailable

__all__ = [
    "ENGINES",
    "Difference",
    "DrawingUnavailable",
    "difference",
    "draw",
    "draw_difference",
    "draw_picture",
]
