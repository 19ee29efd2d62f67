"""The source text of module classes, with all that it needs, for a file that stands alone."""

from __future__ import annotations

import ast
import builtins
import inspect
import sys
from functools import cache
from types import ModuleType
from typing import Any

from torch import nn

from archloom_evaluators.port.errors import ExportError


class Sources:
    """Collects definitions and the imports they need, each once, in an order in which they can be read."""

    def __init__(self) -> None:
        self.definitions: dict[str, str] = {}
        self.imports: set[str] = set()
        self._homes: dict[str, str] = {}
        self._names: dict[type, str] = {}

    def name(self, kind: type[nn.Module]) -> str:
        """How the file calls a class: ``nn.Conv2d``, or its own name, with its source added to the file.

        Raises ExportError where the source is not to be had, or needs more than torch and Python have.
        """
        if kind not in self._names:
            if getattr(nn, kind.__name__, None) is kind:
                self._names[kind] = f"nn.{kind.__name__}"
            else:
                module = sys.modules[kind.__module__]
                self._add(module, kind.__qualname__)
                self._names[kind] = kind.__qualname__
        return self._names[kind]

    def free(self, name: str) -> str:
        """The name, numbered where the file has another of that name."""
        found, number = name, 2
        while found in self._homes or found == "Network":
            found, number = f"{name}{number}", number + 1
        return found

    def add(self, name: str, text: str) -> type[nn.Module]:
        """A class that was written for this file; what stands for it in constructions."""
        self._homes[name] = ""
        self.definitions[name] = text
        kind = type(name, (nn.Module,), {})
        self._names[kind] = name
        return kind

    def _add(self, module: ModuleType, name: str) -> None:
        home = self._homes.get(name)
        if home == module.__name__:
            return
        if home is not None:
            raise ExportError(f"two definitions are called {name!r}: in {home} and in {module.__name__}")
        if name not in _definitions(module):
            raise ExportError(f"{name} of {module.__name__} is no definition at the top of its file")
        self._homes[name] = module.__name__
        text, tree = _definitions(module)[name]
        for used in _free_names(tree):
            self._need(module, used, name)
        self.definitions[name] = text

    def _need(self, module: ModuleType, used: str, by: str) -> None:
        if used in _definitions(module):
            self._add(module, used)
            return
        statement = _imports(module).get(used)
        if statement is None:
            if not hasattr(builtins, used):
                raise ExportError(f"{by} of {module.__name__} reads {used!r}, which its file does not define")
            return
        root = statement.split()[1].partition(".")[0]
        if root == "torch" or root in sys.stdlib_module_names:
            self.imports.add(statement)
            return
        source = statement.split()[1]
        if statement.startswith("from ") and " as " not in statement and source in sys.modules:
            self._add(sys.modules[source], used)
            return
        raise ExportError(f"{by} of {module.__name__} needs {statement!r}: it cannot stand without that")


@cache
def _tree(module: ModuleType) -> tuple[str, ast.Module]:
    try:
        text = inspect.getsource(module)
    except (OSError, TypeError):
        raise ExportError(f"the source of {module.__name__} is not to be had") from None
    return text, ast.parse(text)


@cache
def _definitions(module: ModuleType) -> dict[str, tuple[str, ast.stmt]]:
    """Name -> text and tree of each class, function and constant at the top of a file."""
    text, tree = _tree(module)
    lines = text.splitlines()
    found: dict[str, tuple[str, ast.stmt]] = {}
    for statement in tree.body:
        first = statement.lineno
        names: list[str] = []
        if isinstance(statement, (ast.ClassDef, ast.FunctionDef)):
            names = [statement.name]
            first = min([first, *(each.lineno for each in statement.decorator_list)])
        elif isinstance(statement, ast.Assign):
            names = [target.id for target in statement.targets if isinstance(target, ast.Name)]
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            names = [statement.target.id]
        for name in names:
            found[name] = ("\n".join(lines[first - 1 : statement.end_lineno]), statement)
    return found


@cache
def _imports(module: ModuleType) -> dict[str, str]:
    """Name -> the statement that imports it alone."""
    found: dict[str, str] = {}
    for statement in _tree(module)[1].body:
        if isinstance(statement, ast.Import):
            for each in statement.names:
                plain = f"import {each.name}"
                name = each.asname or each.name.partition(".")[0]
                found[name] = plain if each.asname is None else f"{plain} as {each.asname}"
        elif isinstance(statement, ast.ImportFrom):
            for each in statement.names:
                plain = f"from {statement.module} import {each.name}"
                found[each.asname or each.name] = (
                    plain if each.asname is None else f"{plain} as {each.asname}"
                )
    return found


def _free_names(tree: ast.stmt) -> list[str]:
    """Names that are read and not bound anywhere inside; texts of annotations included."""
    bound: set[str] = set()
    read: dict[str, None] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Load):
                read[node.id] = None
            else:
                bound.add(node.id)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node is not tree:
            bound.add(node.name)
    if isinstance(tree, (ast.Assign, ast.AnnAssign)):
        bound.clear()
    return [name for name in read if name not in bound]


def import_block(statements: set[str]) -> str:
    """Import statements as ruff sorts them, those of one module joined."""
    plain = sorted(each for each in statements if each.startswith("import "))
    joined: dict[str, set[str]] = {}
    for statement in statements - set(plain):
        module, _, name = statement.removeprefix("from ").partition(" import ")
        joined.setdefault(module, set()).add(name)
    froms = [
        f"from {module} import {', '.join(sorted(names, key=_import_order))}"
        for module, names in sorted(joined.items())
    ]
    future = [line for line in froms if line.startswith("from __future__")]
    mine = [line for line in [*plain, *froms] if line not in future]
    ours = [line for line in mine if line.split()[1].partition(".")[0] == "torch"]
    blocks = [future, [line for line in mine if line not in ours], ours]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _import_order(name: str) -> Any:
    kind = 0 if name.isupper() else 1 if name[:1].isupper() else 2
    return kind, name
