"""The drawing of a network as inline SVG."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, tostring

from markupsafe import Markup

from archloom.client import Network, NetworkNode
from archloom.report.layering import Placed, place
from archloom.report.plots import printable

_BOX_WIDTH, _BOX_HEIGHT = 180.0, 40.0
_COLUMN, _ROW, _MARGIN = 204.0, 66.0, 12.0
_LETTERS = 30

#: What kind of part an operation is, for its colour; the first word that the name holds decides.
_FAMILIES = (
    ("input", ("input",)),
    ("weights", ("conv", "linear", "dense", "embed", "attention", "lstm", "gru", "head", "mlp", "project")),
    ("pool", ("pool", "resize", "upsample", "flatten")),
    ("merge", ("add", "sum", "concat", "mul", "merge")),
    (
        "pointwise",
        ("relu", "gelu", "silu", "swish", "sigmoid", "tanh", "norm", "bn", "act", "dropout", "softmax"),
    ),
)

#: What goes without saying in a box; the width ("out") stands in the shape already.
_UNTOLD = (
    ("stride", "1"),
    ("groups", "1"),
    ("dilation", "1"),
    ("padding", "same"),
)


def draw_network(network: Network) -> Markup:
    """Layers from top to bottom, each box with operation, parameters and output shape."""
    placed = place({node.id: node.inputs for node in network.nodes})
    width = max(placed.width * _COLUMN, _COLUMN) + 2 * _MARGIN
    height = (placed.layers - 1) * _ROW + _BOX_HEIGHT + 2 * _MARGIN
    root = Element(
        "svg",
        {
            "viewBox": f"0 0 {width:.0f} {height:.0f}",
            "width": f"{width:.0f}",
            "height": f"{height:.0f}",
            "role": "img",
            "class": "network",
        },
    )
    SubElement(root, "title").text = f"The winner's network: {len(network.nodes)} layers"
    SubElement(root, "desc").text = _counted(network)
    for node in network.nodes:
        for source in dict.fromkeys(node.inputs):
            _draw_edge(root, placed, source, node.id)
    for node in network.nodes:
        _draw_node(root, placed, node, node.id in network.outputs)
    return Markup(tostring(root, encoding="unicode"))


def _counted(network: Network) -> str:
    counts = Counter(node.operation for node in network.nodes)
    return printable(", ".join(f"{count} {name}" for name, count in counts.most_common()))


def family(operation: str) -> str:
    """The kind of part ("weights", "pool", "merge", "pointwise", "input", "other")."""
    name = operation.lower()
    for kind, words in _FAMILIES:
        if any(word in name for word in words):
            return kind
    return "other"


def _centre(placed: Placed, spot: tuple[float, float]) -> tuple[float, float]:
    # A drawing narrower than one column is moved to its middle.
    shift = max(1.0 - placed.width, 0.0) / 2
    return (_MARGIN + (spot[0] + shift) * _COLUMN, _MARGIN + spot[1] * _ROW + _BOX_HEIGHT / 2)


def _draw_edge(root: Element, placed: Placed, source: int, target: int) -> None:
    x, y = _centre(placed, placed.centres[source])
    y += _BOX_HEIGHT / 2
    path = f"M{x:.1f},{y:.1f}"
    stops: list[tuple[float, float, float]] = []
    for bend in placed.bends[source, target]:
        bx, by = _centre(placed, bend)
        # Straight past the boxes of that layer, curved only between layers.
        stops.append((bx, by - _BOX_HEIGHT / 2, by + _BOX_HEIGHT / 2))
    tx, ty = _centre(placed, placed.centres[target])
    stops.append((tx, ty - _BOX_HEIGHT / 2, ty - _BOX_HEIGHT / 2))
    for sx, top, bottom in stops:
        middle = (y + top) / 2
        path += f"C{x:.1f},{middle:.1f} {sx:.1f},{middle:.1f} {sx:.1f},{top:.1f}V{bottom:.1f}"
        x, y = sx, bottom
    SubElement(root, "path", {"d": path, "class": "edge"})


def _draw_node(root: Element, placed: Placed, node: NetworkNode, is_output: bool) -> None:
    x, y = _centre(placed, placed.centres[node.id])
    kind = family(node.operation) + (" output" if is_output else "")
    group = SubElement(root, "g", {"class": f"node {kind}"})
    SubElement(group, "title").text = printable(f"{node.path or node.operation}: {_sentence(node)}")
    box = {
        "x": f"{x - _BOX_WIDTH / 2:.1f}",
        "y": f"{y - _BOX_HEIGHT / 2:.1f}",
        "width": f"{_BOX_WIDTH:.0f}",
        "height": f"{_BOX_HEIGHT:.0f}",
        "rx": "6",
    }
    SubElement(group, "rect", box)
    second = _short(_details(node), _LETTERS)
    _label(group, x, y - (3 if second else -4), _short(_first_line(node), _LETTERS - 6), "operation")
    if second:
        _label(group, x, y + 13, second, "details")


def _label(group: Element, x: float, y: float, text: str, kind: str) -> None:
    place_ = {"x": f"{x:.1f}", "y": f"{y:.1f}", "text-anchor": "middle", "class": kind}
    SubElement(group, "text", place_).text = printable(text)


def _first_line(node: NetworkNode) -> str:
    return f"{node.operation}  {_shape(node.shape)}" if node.shape else node.operation


def _details(node: NetworkNode) -> str:
    told = (each for each in node.parameters if each[1] not in ("", "none") and each not in _UNTOLD)
    return " ".join(f"{name}={value}" for name, value in told if name not in ("out", "bias"))


def _sentence(node: NetworkNode) -> str:
    details = _details(node)
    words = [node.operation, details, f"to {_shape(node.shape)}" if node.shape else ""]
    return " ".join(word for word in words if word)


def _shape(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape))


def _short(text: str, letters: int) -> str:
    return text if len(text) <= letters else text[: letters - 1] + "…"
