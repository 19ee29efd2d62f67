"""Other people's torch code into spaces, and architectures out as torch code that needs no Archloom."""

from archloom_evaluators.port.errors import ExportError, ImportFailed
from archloom_evaluators.port.export import PythonNetwork, export_python, weights_map
from archloom_evaluators.port.importing import Imported, import_module, shape_of

__all__ = [
    "ExportError",
    "ImportFailed",
    "Imported",
    "PythonNetwork",
    "export_python",
    "import_module",
    "shape_of",
    "weights_map",
]
