"""Trained weights under the names of an exported file."""

from __future__ import annotations

from pathlib import Path

from archloom.errors import InvalidInput, Violation
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from archloom_evaluators.port.export import PythonNetwork


def rename_weights(exported: PythonNetwork, source: Path, target: Path) -> None:
    """Read the safetensors of a network that Archloom trained, and write them for
    ``Network.load_state_dict``. Raises InvalidInput where they are of another network.
    """
    try:
        tensors = load_file(source)
    except (OSError, SafetensorError) as error:
        raise InvalidInput([Violation("--weights", f"{source} cannot be read: {error}")]) from None
    if set(tensors) != set(exported.weights):
        other = sorted(set(tensors) ^ set(exported.weights))
        message = f"{source} holds another network's weights: {other[0]!r} is in one of them alone"
        raise InvalidInput([Violation("--weights", message)])
    save_file({exported.weights[name]: tensor for name, tensor in tensors.items()}, target)
