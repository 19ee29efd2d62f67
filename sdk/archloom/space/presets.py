"""The spaces that come with Archloom."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from archloom.space.errors import SpaceError, Violation, suggest
from archloom.space.space import Space

_FOLDER = files("archloom").joinpath("presets")


@cache
def preset_names() -> tuple[str, ...]:
    return tuple(sorted(f.name.removesuffix(".yaml") for f in _FOLDER.iterdir() if f.name.endswith(".yaml")))


def preset_text(name: str) -> str:
    """The YAML of a preset; raises SpaceError with a near match."""
    if name not in preset_names():
        raise SpaceError([Violation("preset", f"there is no preset {name!r}{suggest(name, preset_names())}")])
    return _FOLDER.joinpath(f"{name}.yaml").read_text(encoding="utf-8")


@cache
def load_preset(name: str) -> Space:
    """The preset of that name, read once; raises SpaceError with a near match."""
    return Space.from_yaml(preset_text(name))
