"""YAML read safely: no objects, no duplicate keys, bounded depth and size, and 1e-4 is a number as in YAML
1.2.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any

import yaml

from archloom.space.errors import SpaceError, Violation

MAX_TEXT = 4_000_000
MAX_DEPTH = 150
MAX_VALUES = 200_000  # aliases written out


_Base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast where PyYAML was built with libyaml


class _Loader(_Base):  # type: ignore[misc, valid-type]
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise yaml.constructor.ConstructorError(
                    None, None, "a key is a list or a map", key_node.start_mark
                )
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key!r} occurs twice", key_node.start_mark
                )
            seen.add(key)
        mapping: dict[Hashable, Any] = super().construct_mapping(node, deep)
        return mapping


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def load_yaml(text: str) -> Any:
    """The value that a YAML text stands for; raises SpaceError with the line at fault."""
    try:
        if len(text) > MAX_TEXT:
            raise _refuse(f"the text has {len(text)} characters, at most {MAX_TEXT} are read")
        _measure(text)
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
        raise _refuse(f"{place}{getattr(error, 'problem', None) or 'not a YAML text'}") from None
    except (ValueError, OverflowError) as error:  # such as a date of month 13
        raise _refuse(str(error)) from None


def dump_yaml(value: Any) -> str:
    """A YAML text that ``load_yaml`` reads back to an equal value."""
    return str(yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110))


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        return True


_Dumper.add_implicit_resolver(  # so that the text '1e-4' is quoted
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def _refuse(message: str) -> SpaceError:
    return SpaceError([Violation("", message)])


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark is not None else 0


def _measure(text: str) -> None:
    """Walk the events, which needs no recursion, before anything is composed: depth, and size with aliases
    written out.
    """
    sizes: dict[str, int] = {}
    stack: list[tuple[str | None, int]] = [(None, 0)]  # anchor and size of each open collection
    for event in yaml.parse(text, _Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            if len(stack) > MAX_DEPTH:
                raise _refuse(f"line {_line(event)}: deeper than {MAX_DEPTH} levels")
            stack.append((event.anchor, 1))
            continue
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, size = stack.pop()
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise _refuse(f"line {_line(event)}: *{event.anchor} stands for itself or for nothing")
            anchor, size = None, sizes[event.anchor]
        elif isinstance(event, yaml.ScalarEvent):
            anchor, size = event.anchor, 1
        else:
            continue
        if anchor is not None:
            sizes[anchor] = size
        outer, total = stack[-1]
        stack[-1] = (outer, total + size)
        if total + size > MAX_VALUES:
            raise _refuse(f"line {_line(event)}: more than {MAX_VALUES} values")
