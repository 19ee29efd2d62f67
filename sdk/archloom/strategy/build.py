"""The build id: what identifies a strategy's code, so that a replay knows whether equal answers are
promised.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
import sys
from pathlib import Path
from types import CodeType, ModuleType

import archloom


def build_id(kind: type) -> str:
    """A hash over Archloom's version and the source of the class's module and of what that imports from its
    own package.

    A class typed into a notebook counts with its own source, or its compiled code where even that is not
    kept.
    """
    digest = hashlib.sha256(archloom.__version__.encode())
    home = sys.modules.get(kind.__module__)
    sources = _sources(home) if home is not None else []
    if not sources:
        sources = [_class_source(kind)]
    for source in sources:
        digest.update(source)
    return f"{archloom.__version__}+{digest.hexdigest()[:16]}"


def _sources(home: ModuleType) -> list[bytes]:
    """The sources of ``home`` and of the modules of its top-level package that it reaches, in the order of
    their names. What is imported within a function counts too, whether it was loaded or not.
    """
    top = home.__name__.partition(".")[0]
    found: dict[str, bytes] = {}
    waiting = [home.__name__]
    while waiting:
        name = waiting.pop()
        if name.partition(".")[0] != top or name in found:
            continue
        source, package = _source(name)
        if source:
            found[name] = source.encode()
            waiting += _imported(source, package)
    return [found[name] for name in sorted(found)]


def _source(name: str) -> tuple[str, str]:
    """Of a module, and the package that its relative imports start from; empty where it is no module."""
    try:
        if name in sys.modules:
            module = sys.modules[name]
            return inspect.getsource(module), module.__package__ or ""
        top, *parts = name.split(".")
        for folder in getattr(sys.modules.get(top), "__path__", ()):
            # Not by find_spec, which would load what the module stands in.
            place = Path(folder, *parts)
            if (file := place.with_suffix(".py")).is_file():
                return file.read_text(encoding="utf-8"), name.rpartition(".")[0]
            if (file := place / "__init__.py").is_file():
                return file.read_text(encoding="utf-8"), name
    except (OSError, TypeError):
        pass
    return "", ""


def _imported(source: str, package: str) -> list[str]:
    """All names that may be modules among those that it imports."""
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [each.name for each in node.names]
        elif isinstance(node, ast.ImportFrom):
            name = "." * node.level + (node.module or "")
            if node.level:
                name = importlib.util.resolve_name(name, package)
            found += [name, *(f"{name}.{each.name}" for each in node.names)]
    return found


def _class_source(kind: type) -> bytes:
    try:
        return inspect.getsource(kind).encode()
    except (OSError, TypeError):
        codes = [value.__code__ for value in vars(kind).values() if inspect.isfunction(value)]
        return b"".join(_code(code) for code in codes)


def _code(code: CodeType) -> bytes:
    nested = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    plain = [constant for constant in code.co_consts if not isinstance(constant, CodeType)]
    names = " ".join(code.co_names)
    return code.co_code + f"{plain} {names}".encode() + b"".join(_code(each) for each in nested)
