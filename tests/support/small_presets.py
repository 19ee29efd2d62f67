"""The presets with small inputs and widths, so that their networks run at the speed of tests.

Only numbers differ: every node, domain and decision is the preset's own.
"""

from __future__ import annotations

from functools import cache

from archloom.space import Space, preset_text

_NUMBERS: dict[str, tuple[tuple[str, str], ...]] = {
    "autoformer": (
        ("shape: [3, 224, 224]", "shape: [3, 48, 48]"),
        ("int: [192, 240, 24]", "int: [24, 60, 12]"),
    ),
    "darts": (("shape: [3, 32, 32]", "shape: [3, 16, 16]"), ("channels: 36", "channels: 4")),
    "detector": (
        ("choice: [384, 512]", "choice: [64, 96]"),
        ("choice: [64, 128, 256]", "choice: [8, 12, 16]"),
        ("channels: 64", "channels: 8"),
        ("channels: 128", "channels: 12"),
        ("channels: 256", "channels: 16"),
        ("channels: 512", "channels: 16"),
    ),
    "encoder_decoder": (
        ("source: {kind: tokens, shape: [64]}", "source: {kind: tokens, shape: [7]}"),
        ("target: {kind: tokens, shape: [64]}", "target: {kind: tokens, shape: [9]}"),
        ("vocabulary: 32768", "vocabulary: 50"),
        ("encoder_width: {choice: [512, 640]}", "encoder_width: {choice: [16, 24]}"),
        ("decoder_width: {choice: [512, 640]}", "decoder_width: {choice: [16, 24]}"),
        ("choice: [1024, 2048, 3072]", "choice: [16, 32, 48]"),
    ),
    "language_model": (
        ("shape: [256]", "shape: [12]"),
        ("vocabulary: 50257", "vocabulary: 50"),
        ("int: [128, 1024, 128]", "int: [16, 64, 16]"),
        ("int: [256, 4096, 256]", "int: [16, 64, 16]"),
    ),
    "mobile": (("224 * 1.15", "32 * 1.15"),),
    "recurrent": (
        ("shape: [35]", "shape: [9]"),
        ("vocabulary: 10000", "vocabulary: 50"),
        ("choice: [300, 650, 850]", "choice: [8, 12, 16]"),
    ),
    "speech": (("shape: [80, 1000]", "shape: [10, 40]"), ("choice: [144, 176, 256]", "choice: [16, 32]")),
    "text_encoder": (
        ("shape: [128]", "shape: [40]"),
        ("vocabulary: 30522", "vocabulary: 50"),
        ("choice: [128, 192, 256, 384, 512]", "choice: [16, 24, 32, 48, 64]"),
    ),
}


@cache
def small_preset(name: str) -> Space:
    """A preset of few channels, positions and words."""
    text = preset_text(name)
    for number, small in _NUMBERS.get(name, ()):
        assert number in text, f"{name}.yaml has no {number!r} any more"
        text = text.replace(number, small)
    return Space.from_yaml(text)
