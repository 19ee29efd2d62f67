"""What `archloom spaces import` runs."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from archloom.space import Space
from torch import nn

from archloom_evaluators.port.errors import ImportFailed
from archloom_evaluators.port.importing import import_module


def import_target(
    target: str, inputs: Mapping[str, str], name: str, patch: object, opaque: Mapping[str, str]
) -> Space:
    """The space of the module that ``package.module:factory`` or ``file.py:factory`` makes, called without
    arguments. The code runs here: it must be code that the user trusts.
    """
    place, _, attribute = target.rpartition(":")
    if not place or not attribute:
        raise ImportFailed(f"{target!r}: name a function that makes the module, as package.module:function")
    code = _code(place)
    try:
        factory = getattr(code, attribute)
    except AttributeError:
        raise ImportFailed(f"{place} has no {attribute!r}") from None
    module = factory if isinstance(factory, nn.Module) else factory()
    if not isinstance(module, nn.Module):
        raise ImportFailed(f"{target} makes no torch.nn.Module, but a {type(module).__name__}")
    return import_module(module, inputs, name, patch, opaque)


def _code(place: str) -> ModuleType:
    if not place.endswith(".py"):
        sys.path.insert(0, str(Path.cwd()))
        try:
            return importlib.import_module(place)
        except ImportError as error:
            raise ImportFailed(f"{place!r} cannot be imported: {error}") from None
    path = Path(place)
    if not path.is_file():
        raise ImportFailed(f"there is no file {place}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)
    spec.loader.exec_module(module)
    return module
