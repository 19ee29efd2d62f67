"""The drawing of the winner's network."""

from __future__ import annotations

from markupsafe import Markup

from archloom.client import Network
from archloom.drawing import DrawingUnavailable, draw, draw_picture
from archloom.drawing.picture import Layer, Picture

_TITLE = "The winner's network"


def draw_network(network: Network) -> tuple[Markup | None, str]:
    """The drawing as inline SVG; or None, and why there is none."""
    try:
        if network.graph is not None:
            return Markup(draw(network.graph, title=_TITLE)), ""
        return Markup(draw_picture(picture_of_network(network), title=_TITLE)), ""
    except DrawingUnavailable as error:
        return None, error.message


def picture_of_network(network: Network) -> Picture:
    """What a server said of a network, which may hold operations that are unknown here."""
    layers = [
        Layer(
            node.operation,
            node.parameters,
            node.inputs,
            node.path,
            "image" if len(node.shape) == 3 else "",
            node.shape,
        )
        for node in network.nodes
    ]
    inputs = tuple((node.path, node.id) for node in network.nodes if node.operation == "input")
    outputs = tuple(("", place) for place in network.outputs)
    return Picture(tuple(layers), inputs, outputs, network.parameters, network.flops)
