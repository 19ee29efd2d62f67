"""What goes wrong with a space, and near matches for names that do not exist."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence

from archloom.errors import InvalidInput, Violation

__all__ = ["BuildError", "SpaceError", "Violation", "mean", "near", "show", "suggest"]


class SpaceError(InvalidInput):
    """A space, or an architecture of it, has faults. ``violations`` lists every one with its path."""

    reason = "INVALID_SPACE"

    def __init__(self, violations: Sequence[Violation], message: str = "") -> None:
        super().__init__(violations, message)


class BuildError(Exception):
    """One architecture does not fit together. Stays inside the package: ``Space.check`` makes it a violation.

    ``violation`` has the path of the layer or decision, ``where`` the field of the space; so many ``layers``
    were built before.
    """

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.violation = Violation(path, message)
        self.where = ""
        self.layers = 0


_OTHER_WORDS = {
    "k": "kernel kernel_size kernels ksize pool_size window size",
    "out": "filters channels out_channels out_features units width features dim",
    "stride": "strides downsample",
    "p": "rate prob probability dropout",
    "activation": "act nonlinearity",
    "norm": "normalization normalisation",
    "batch": "bn batchnorm batch_norm",
    "layer": "op operation type kind module",
    "sequence": "seq layers stack list nodes",
    "choice": "options choices values categorical one_of any",
    "int": "range integer randint",
    "float": "uniform real number",
    "log": "loguniform log_uniform",
    "bool": "boolean flag",
    "count": "times n number depth repeats",
    "body": "node block model network",
    "parallel": "branches split",
    "residual": "skip shortcut",
    "input": "inputs",
    "output": "outputs",
    "let": "variables vars parameters",
    "ops": "operations options",
    "state": "states hidden",
    "with": "args arguments params parameters",
    "when": "if condition only_if",
    "name": "id label",
    "sum": "add plus addition",
    "concat": "cat concatenate",
    "mul": "multiply product times",
    "conv": "convolution",
    "linear": "dense fc fully_connected",
    "batch_norm": "bn",
    "silu": "swish",
    "attention": "mha self_attention multihead_attention",
    "feed_forward": "ffn mlp",
    "most": "max",
    "image": "picture img 2d",
    "vector": "features flat 0d",
    "tokens": "text ids",
}
"""What others call the words of the language: word -> other words."""
_MEANT: dict[str, list[str]] = {}
for _word, _others in _OTHER_WORDS.items():
    for _other in _others.split():
        _MEANT.setdefault(_other, []).append(_word)


def near(found: str, known: Iterable[str]) -> str:
    """The known name that was probably meant, or an empty text."""
    names = sorted(set(known))
    lower = found.lower()
    candidates = [name for name in names if name.lower() == lower]
    candidates += [name for name in _MEANT.get(lower, ()) if name in names]
    candidates += difflib.get_close_matches(found, names, n=1, cutoff=0.6)
    return candidates[0] if candidates else ""


def suggest(found: str, known: Iterable[str]) -> str:
    """`` (did you mean 'conv'?)`` when a known name is near, else what is known, else nothing."""
    names = sorted(set(known))
    if meant := near(found, names):
        return f" (did you mean {meant!r}?)"
    if 0 < len(names) <= 12:
        return f" (known: {', '.join(names)})"
    return ""


def mean(found: object, known: Iterable[str]) -> str:
    """As ``suggest``, where what is known has been said."""
    meant = near(found, known) if isinstance(found, str) else ""
    return f" (did you mean {meant!r}?)" if meant else ""


def show(value: object) -> str:
    """A value for a message, short."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if value != value else "infinity"
    if isinstance(value, Mapping):
        return f"a map of {', '.join(map(str, list(value)[:5]))}" if value else "an empty map"
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value)}"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and value.bit_length() > 200:
        return f"a number of about {int(value.bit_length() * 0.30103)} digits"
    if isinstance(value, (str, int, float)):
        text = repr(value)
        return text if len(text) <= 60 else f"{text[:57]}..."
    name = type(value).__name__.lower()
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
