"""The build id: what identifies a strategy's code, so that a replay knows whether equal answers are
promised.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
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
    their names.
    """
    top = home.__name__.partition(".")[0]
    found: dict[str, bytes] = {}
    waiting = [home]
    while waiting:
        module = waiting.pop()
        if module.__name__ in found:
            continue
        try:
            found[module.__name__] = inspect.getsource(module).encode()
        except (OSError, TypeError):
            continue
        for value in vars(module).values():
            name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
            if isinstance(name, str) and name.partition(".")[0] == top and name in sys.modules:
                waiting.append(sys.modules[name])
    return [found[name] for name in sorted(found)]


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
