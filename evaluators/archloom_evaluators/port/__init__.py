"""Other people's torch code into spaces, and architectures out as torch code that needs no Archloom."""

from archloom_evaluators.port.errors import ExportError, ImportFailed
from archloom_evaluators.port.export import PythonNetwork, export_python, weights_map

__all__ = ["ExportError", "ImportFailed", "PythonNetwork", "export_python", "weights_map"]
