"""The search-space language: spaces, the architectures in them, and the networks these stand for. No torch,
no numpy.
"""

from archloom.space.architecture import Architecture
from archloom.space.decisions.describing import DecisionInfo
from archloom.space.errors import SpaceError, Violation
from archloom.space.fitting.sampling import SizeEstimate
from archloom.space.networks.graph import Graph, GraphNode
from archloom.space.operations import ACTIVATIONS, OpSpec, Parameter, Shape, operation_specs
from archloom.space.operations import register as register_spec
from archloom.space.presets import load_preset, preset_names, preset_text
from archloom.space.reading.yaml_text import dump_yaml, load_yaml
from archloom.space.space import Space

__all__ = [
    "ACTIVATIONS",
    "Architecture",
    "DecisionInfo",
    "Graph",
    "GraphNode",
    "OpSpec",
    "Parameter",
    "Shape",
    "SizeEstimate",
    "Space",
    "SpaceError",
    "Violation",
    "dump_yaml",
    "load_preset",
    "load_yaml",
    "operation_specs",
    "preset_names",
    "preset_text",
    "register_spec",
]
