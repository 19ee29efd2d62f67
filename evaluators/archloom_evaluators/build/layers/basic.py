"""The linear layer, nothing, zeroes, dropout."""

from __future__ import annotations

import torch
from archloom.space import Shape
from torch import Tensor, nn

from archloom_evaluators.build.layers.signature import Parameters, Shapes, plain
from archloom_evaluators.build.registry import register_operation


class PositionLinear(nn.Linear):
    """A linear layer over axis 1 of [n, c, t], at each position alone."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


class Zeroes(nn.Module):
    """Zeroes of a fixed shape, for each example of a batch."""

    def __init__(self, dims: tuple[int, ...]) -> None:
        super().__init__()
        self.dims = dims

    def forward(self, x: Tensor) -> Tensor:
        kind = x.dtype if x.is_floating_point() else torch.get_default_dtype()
        return torch.zeros((x.shape[0], *self.dims), dtype=kind, device=x.device)


class DropPath(nn.Module):
    """Zeroes whole examples with probability p in training (Huang et al. 2016)."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        kept = torch.full_like(
            x[(slice(None), *[slice(1)] * (x.dim() - 1))], 1 - self.p
        )
        return x * torch.bernoulli(kept) / (1 - self.p)


class Scale(nn.Module):
    """All values times a constant."""

    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = by

    def forward(self, x: Tensor) -> Tensor:
        return x * self.by


def linear(parameters: Parameters, inputs: Shapes, output: Shape) -> nn.Module:
    kind = nn.Linear if output.kind == "vector" else PositionLinear
    return kind(inputs[0].channels, output.channels, bias=parameters["bias"])


def zeroes(parameters: Parameters, inputs: Shapes, output: Shape) -> nn.Module:
    return Zeroes(output.dims)


register_operation("linear", linear)
register_operation("identity", plain(nn.Identity))
register_operation("zero", zeroes)
for _kind in ("image", "seq", "vector"):
    register_operation(f"zeroes_{_kind}", zeroes)
register_operation(
    "dropout", lambda parameters, inputs, output: nn.Dropout(parameters["p"])
)
register_operation(
    "drop_path", lambda parameters, inputs, output: DropPath(parameters["p"])
)
register_operation("scale", lambda parameters, inputs, output: Scale(parameters["by"]))
