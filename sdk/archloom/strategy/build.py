"""The build id: what identifies a strategy's code, so that a replay knows whether equal answers are
promised.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
import sys
import tokenize
from pathlib import Path
from types import CodeType, ModuleType

import archloom
from archloom.strategy import load


def build_id(kind: type) -> str:
    """A hash over Archloom's version and the source of the class's module and of what that imports from its
    own package and from those of installed strategies.

    Code that finds strategies by their names, as ``portfolio`` does, may call any: then all that are
    installed count, since one build is told for all settings.

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
    """The sources of ``home`` and of the modules that it reaches, in the order of their names. What is
    imported within a function counts too, whether it was loaded or not.
    """
    installed = [point.value.partition(":")[0] for point in load.installed_strategies().values()]
    packages = {name.partition(".")[0] for name in (home.__name__, *installed)}
    found: dict[str, bytes] = {}
    waiting = [home.__name__]
    while waiting:
        name = waiting.pop()
        if name.partition(".")[0] not in packages or name in found:
            continue
        source, package = _source(name)
        if source:
            # What was loaded ends with a line break, whether its file does or not.
            found[name] = source.rstrip().encode()
            imported = _imported(source, package)
            waiting += [*imported, *installed] if load.__name__ in imported else imported
    return [found[name] for name in sorted(found)]


def _source(name: str) -> tuple[str, str]:
    """Of a module, and the package that its relative imports start from; empty where it is no module."""
    try:
        if name in sys.modules:
            module = sys.modules[name]
            return inspect.getsource(module), module.__package__ or ""
        top, *parts = name.split(".")
        # By its whole name find_spec would load what the module stands in.
        spec = importlib.util.find_spec(top)
        if spec is not None and spec.origin and not parts:
            return _text(Path(spec.origin)), spec.parent or ""
        for folder in (spec.submodule_search_locations if spec is not None else None) or ():
            place = Path(folder, *parts)
            if (file := place.with_suffix(".py")).is_file():
                return _text(file), name.rpartition(".")[0]
            if (file := place / "__init__.py").is_file():
                return _text(file), name
    except (OSError, SyntaxError, TypeError, ValueError):  # a file may name an encoding that there is not
        pass
    return "", ""


def _text(file: Path) -> str:
    """As it reads once it is loaded."""
    with tokenize.open(file) as opened:
        return opened.read()


def _imported(source: str, package: str) -> list[str]:
    """All names that may be modules among those that it imports; none where it cannot be read."""
    found: list[str] = []
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return found
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [each.name for each in node.names]
        elif isinstance(node, ast.ImportFrom):
            name = "." * node.level + (node.module or "")
            if node.level:
                try:
                    name = importlib.util.resolve_name(name, package)
                except ImportError:  # more levels up than there are
                    continue
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
