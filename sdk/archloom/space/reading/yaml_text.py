"""YAML read safely: into maps, lists and constants only, in one walk over the parser's events.

No objects are made and no tags obeyed; no key stands twice; depth and size, with aliases written out, are
bounded. Plain constants are those of YAML 1.2: 1e-4 is a number, and yes, no, on and off are texts. ``<<``
merges maps.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from archloom.space.errors import SpaceError, Violation

MAX_TEXT = 4_000_000
MAX_DEPTH = 150
MAX_VALUES = 200_000  # aliases written out

_Loader = getattr(
    yaml, "CSafeLoader", yaml.SafeLoader
)  # ten times as fast where PyYAML was built with libyaml

_INTEGER = re.compile(r"[-+]?[0-9][0-9_]*|0x[0-9a-fA-F]+")
_FLOAT = re.compile(
    r"[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
_WORDS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NULLS = ("", "~", "null", "Null", "NULL")
_FIRST = frozenset("-+.0123456789~nNtTfF")
_TAG = "tag:yaml.org,2002:"
_LINE_ENDS = frozenset("\r\x85\u2028\u2029")
_MERGE = object()
"""The key ``<<``, unquoted."""


def load_yaml(text: str) -> Any:
    """The value that a YAML text stands for; raises SpaceError with the line at fault."""
    if len(text) > MAX_TEXT:
        raise _refuse(f"the text has {len(text)} characters, at most {MAX_TEXT} are read")
    reader = _Reader()
    try:
        for event in yaml.parse(text, _Loader):
            reader.event(event)
    except yaml.YAMLError as error:
        raise _refuse(_explain(error, text)) from None
    return reader.document


def dump_yaml(value: Any) -> str:
    """A YAML text that ``load_yaml`` reads back to an equal value; what nests nothing is on one line."""
    text = yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None
    )
    return str(text)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        return True

    def text(self, data: str) -> yaml.ScalarNode:
        """A text; with a line's end of another kind in it, it is written with escapes."""
        return self.represent_scalar(f"{_TAG}str", data, style='"' if set(data) & _LINE_ENDS else None)


_Dumper.add_representer(str, _Dumper.text)


for _kind, _pattern in (("int", _INTEGER), ("float", _FLOAT)):  # so that the texts '1e-4' and '08' are quoted
    _Dumper.add_implicit_resolver(
        _TAG + _kind, re.compile(f"^(?:{_pattern.pattern})$"), list("-+.0123456789")
    )


def _refuse(message: str) -> SpaceError:
    return SpaceError([Violation("", message)])


def _at(event: yaml.Event) -> str:
    return f"line {event.start_mark.line + 1}: " if event.start_mark is not None else ""


# --------------------------------------------------------------- reading


@dataclass
class _Open:
    """A list or a map that is being read, and its size so far, itself and aliases counted."""

    value: Any
    anchor: str | None
    size: int = 1
    key: Any = None
    keyed: bool = False  # whether a key waits for its value
    merged: dict[Any, Any] = field(default_factory=dict)


class _Reader:
    def __init__(self) -> None:
        self.document: Any = None
        self.documents = 0
        self.open: list[_Open] = []
        self.anchors: dict[str, tuple[Any, int]] = {}

    def event(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.ScalarEvent):
            self.add(_constant(event), 1, event, event.anchor)
        elif isinstance(event, yaml.CollectionStartEvent):
            if len(self.open) >= MAX_DEPTH:
                raise _refuse(f"{_at(event)}deeper than {MAX_DEPTH} levels")
            mapping = isinstance(event, yaml.MappingStartEvent)
            _known_tag(event, "map" if mapping else "seq")
            self.anchors.pop(event.anchor or "", None)
            self.open.append(_Open({} if mapping else [], event.anchor))
        elif isinstance(event, yaml.CollectionEndEvent):
            done = self.open.pop()
            value = {**done.merged, **done.value} if done.merged else done.value
            self.add(value, done.size, event, done.anchor)
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in self.anchors:
                hint = "; a text that begins with * needs quotes"
                raise _refuse(f"{_at(event)}*{event.anchor} stands for itself or for nothing{hint}")
            self.add(*self.anchors[event.anchor], event, None)
        elif isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                raise _refuse(f"{_at(event)}expected one document, found another after ---")

    def add(self, value: Any, size: int, event: yaml.Event, anchor: str | None) -> None:
        """A value that is complete goes where it belongs."""
        if anchor is not None:
            self.anchors[anchor] = (value, size)
        if not self.open:
            self.document = value
            return
        place = self.open[-1]
        place.size += size
        if place.size > MAX_VALUES:
            raise _refuse(f"{_at(event)}more than {MAX_VALUES} values")
        if isinstance(place.value, list):
            place.value.append(value)
        elif not place.keyed:
            self.start(place, value, event)
        elif place.key is _MERGE:
            _merge(place, value, event)
        else:
            place.value[place.key] = value
            place.keyed = False

    def start(self, place: _Open, key: Any, event: yaml.Event) -> None:
        if isinstance(key, (list, dict)):
            raise _refuse(
                f"{_at(event)}a key is a list or a map; a text that begins with [ or {{ needs quotes"
            )
        if key in place.value:
            raise _refuse(f"{_at(event)}{key!r} occurs twice")
        plain = isinstance(event, yaml.ScalarEvent) and event.implicit[0]
        place.key, place.keyed = (_MERGE if key == "<<" and plain else key), True


def _merge(place: _Open, value: Any, event: yaml.Event) -> None:
    """``<<: *base`` or ``<<: [*one, *other]``: their keys, where the map has none of its own."""
    for base in value if isinstance(value, list) else [value]:
        if not isinstance(base, dict):
            raise _refuse(f"{_at(event)}<< merges a map, or a list of maps")
        place.merged = {**base, **place.merged}
    place.keyed = False


def _known_tag(event: Any, *kinds: str) -> None:
    """Refuse what a tag asks for, unless it is what stands there anyway."""
    if event.tag not in (None, "!", *(_TAG + kind for kind in kinds)):
        tag = event.tag.replace(_TAG, "!!")
        raise _refuse(f"{_at(event)}the tag {tag} is not obeyed; a text that begins with ! needs quotes")


def _constant(event: yaml.ScalarEvent) -> Any:
    text: str = event.value
    if event.tag is not None and event.tag != "!":
        _known_tag(event, "str", "int", "float", "bool", "null")
        if event.tag == f"{_TAG}str":
            return text
    elif not event.implicit[0] or (text and text[0] not in _FIRST):
        return text
    if text in _NULLS:
        return None
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return _integer(text, event)
    if _FLOAT.fullmatch(text):
        plain = text.replace("_", "").lower()
        return float(plain.replace(".", "") if plain[-1] in "fn" else plain)
    return text


def _integer(text: str, event: yaml.Event) -> int:
    if len(text) > 100:
        raise _refuse(f"{_at(event)}a number of {len(text)} digits")
    return int(text, 16) if text.startswith("0x") else int(text.replace("_", ""))


# ---------------------------------------------------------------- faults

_CHARACTERS = {
    "\t": "indent with spaces: YAML allows no tabs there",
    "@": "a text that begins with @ needs quotes",
    "`": "a text that begins with ` needs quotes",
    "%": "a text that begins with % needs quotes",
}
_COLUMNS = "check in which columns lines begin; a text that begins with a quote stands in quotes to its end"
_PROBLEMS = {
    "mapping values": "a text with ': ' in it needs quotes",
    "',' or": "a bracket is not closed, or a text needs quotes",
    "block end": _COLUMNS,
    "expected key": _COLUMNS,
    "'-' indicator": _COLUMNS,
    "end of stream": "a quote is not closed",
    "':'": "a key needs ': ' after it, with a space",
}
"""What the parser says -> what to do."""


def _explain(error: yaml.YAMLError, text: str) -> str:
    """The parser's words with the place, and what to do."""
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or "not a YAML text"
    if mark is None:
        return str(problem)
    lines = text.splitlines()
    line = lines[mark.line] if mark.line < len(lines) else ""
    found = line[mark.column : mark.column + 1]
    hint = _CHARACTERS.get(found) if "cannot start" in problem else None
    hint = hint or next((advice for words, advice in _PROBLEMS.items() if words in problem), "")
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}{'; ' * bool(hint)}{hint}"
