"""Recurrent layers."""

from __future__ import annotations

from archloom.space import Shape
from torch import Tensor, nn

from archloom_evaluators.build.layers.signature import Parameters, Shapes
from archloom_evaluators.build.registry import register_operation


class LstmLayers(nn.Module):
    """[n, c, t] -> [n, hidden, t], or twice the channels with both directions."""

    def __init__(
        self, channels: int, hidden: int, layers: int, bidirectional: bool
    ) -> None:
        super().__init__()
        self.lstm = nn.LSTM(
            channels, hidden, layers, batch_first=True, bidirectional=bidirectional
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.lstm(x.transpose(1, 2))[0]
        return y.transpose(1, 2)


class GruLayers(nn.Module):
    """[n, c, t] -> [n, hidden, t], or twice the channels with both directions."""

    def __init__(
        self, channels: int, hidden: int, layers: int, bidirectional: bool
    ) -> None:
        super().__init__()
        self.gru = nn.GRU(
            channels, hidden, layers, batch_first=True, bidirectional=bidirectional
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.gru(x.transpose(1, 2))[0]
        return y.transpose(1, 2)


class RnnLayers(nn.Module):
    """[n, c, t] -> [n, hidden, t], or twice the channels with both directions.

    nonlinearity: tanh or relu.
    """

    def __init__(
        self,
        channels: int,
        hidden: int,
        layers: int,
        bidirectional: bool,
        nonlinearity: str,
    ) -> None:
        super().__init__()
        self.rnn = nn.RNN(
            channels,
            hidden,
            layers,
            nonlinearity=nonlinearity,
            batch_first=True,
            bidirectional=bidirectional,
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.rnn(x.transpose(1, 2))[0]
        return y.transpose(1, 2)


def lstm(parameters: Parameters, inputs: Shapes, output: Shape) -> nn.Module:
    return LstmLayers(
        inputs[0].channels,
        parameters["out"],
        parameters["layers"],
        parameters["bidirectional"],
    )


def gru(parameters: Parameters, inputs: Shapes, output: Shape) -> nn.Module:
    return GruLayers(
        inputs[0].channels,
        parameters["out"],
        parameters["layers"],
        parameters["bidirectional"],
    )


def rnn(parameters: Parameters, inputs: Shapes, output: Shape) -> nn.Module:
    return RnnLayers(
        inputs[0].channels,
        parameters["out"],
        parameters["layers"],
        parameters["bidirectional"],
        parameters["nonlinearity"],
    )


register_operation("lstm", lstm)
register_operation("gru", gru)
register_operation("rnn", rnn)
