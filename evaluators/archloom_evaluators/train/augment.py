"""Random changes of a batch of training images."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from archloom_evaluators.train.config import Augmentation


def augment(
    inputs: torch.Tensor, settings: Augmentation, allowed: frozenset[str], generator: torch.Generator
) -> torch.Tensor:
    """[n, c, h, w] in, the same out; one draw for each image. ``generator`` lives on the CPU."""
    if inputs.ndim != 4:
        return inputs
    matrix = _affine(inputs, settings, allowed, generator)
    if matrix is not None:
        grid = F.affine_grid(matrix.to(inputs.device), list(inputs.shape), align_corners=False)
        # The border's own value goes on outside: zero would be the mean grey of a normalised image.
        inputs = F.grid_sample(inputs, grid, padding_mode="border", align_corners=False)
    if settings.cutout > 0:
        inputs = _cutout(inputs, settings.cutout, generator)
    # Sampling forgets the memory order that the network's convolutions want.
    return inputs.contiguous(memory_format=torch.channels_last)


def _uniform(count: int, limit: float, generator: torch.Generator) -> torch.Tensor:
    return (torch.rand(count, generator=generator) * 2 - 1) * limit


def _affine(
    inputs: torch.Tensor, settings: Augmentation, allowed: frozenset[str], generator: torch.Generator
) -> torch.Tensor | None:
    """Matrices [n, 2, 3] from output to input coordinates in [-1, 1]; None when nothing is to change."""
    count = len(inputs)
    turns = "rotate" in allowed and (settings.rotate_degrees > 0 or settings.scale > 0 or settings.shear > 0)
    shifts = "shift" in allowed and settings.shift > 0
    flips = "flip" in allowed and settings.flip
    if not (turns or shifts or flips):
        return None
    matrix = torch.zeros(count, 2, 3)
    matrix[:, 0, 0] = matrix[:, 1, 1] = 1.0
    if turns:
        angle = _uniform(count, math.radians(settings.rotate_degrees), generator)
        size = 1 + _uniform(count, settings.scale, generator)
        shear = _uniform(count, settings.shear, generator)
        cos, sin = torch.cos(angle) * size, torch.sin(angle) * size
        matrix[:, 0, 0], matrix[:, 0, 1] = cos, -sin + shear * cos
        matrix[:, 1, 0], matrix[:, 1, 1] = sin, cos + shear * sin
    if shifts:
        # Coordinates span 2, so a share of the side is twice that.
        matrix[:, 0, 2] = _uniform(count, 2 * settings.shift, generator)
        matrix[:, 1, 2] = _uniform(count, 2 * settings.shift, generator)
    if flips:
        sign = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)
        matrix[:, 0] *= sign[:, None]
    return matrix


def _cutout(inputs: torch.Tensor, share: float, generator: torch.Generator) -> torch.Tensor:
    """Sets a square of each image to zero, the mean (DeVries and Taylor 2017, arXiv:1708.04552)."""
    count, _, height, width = inputs.shape
    rows = torch.rand(count, 1, generator=generator) * height
    columns = torch.rand(count, 1, generator=generator) * width
    inside_rows = (torch.arange(height)[None] + 0.5 - rows).abs() < share * height / 2
    inside_columns = (torch.arange(width)[None] + 0.5 - columns).abs() < share * width / 2
    hole = (inside_rows[:, :, None] & inside_columns[:, None, :])[:, None].to(inputs.device)
    return inputs.masked_fill(hole, 0.0)
