"""Any network as a plain Python file that needs torch alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from archloom.space import Graph

from archloom_evaluators.port.sources import Sources, import_block
from archloom_evaluators.port.writing import NetworkWriter


@dataclass(frozen=True)
class PythonNetwork:
    """``text`` is the file, with a class ``Network``; ``weights`` says for each name of
    ``build_module(graph).state_dict()`` what the tensor is called in the file's ``state_dict()``.
    """

    text: str
    weights: Mapping[str, str]


def export_python(graph: Graph, title: str = "") -> PythonNetwork:
    """The network as code. ``title`` says in a comment where it comes from.

    Raises ExportError where a layer cannot be written so.
    """
    sources = Sources()
    writer = NetworkWriter(graph, sources)
    definitions = writer.definitions()
    header = [f"# {line}" if line else "#" for line in title.splitlines()]
    header.append(f"# Architecture {graph.hash}")
    header.append(f"# {graph.parameters:,} parameters")
    parts = [
        "\n".join(header) + "\n\n" + import_block(sources.imports),
        *sources.definitions.values(),
        *definitions.values(),
    ]
    return PythonNetwork("\n\n\n".join(parts) + "\n", writer.weights())


def weights_map(graph: Graph) -> Mapping[str, str]:
    """``export_python(graph).weights``."""
    return export_python(graph).weights
