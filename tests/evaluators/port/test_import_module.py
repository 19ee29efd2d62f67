"""Imported modules: the space of one architecture is the module; a patch opens what it says."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import pytest
import torch
from archloom.space import Space, load_yaml
from archloom_evaluators.build import build_module
from archloom_evaluators.port import Imported, ImportFailed, import_module
from torch import Tensor, nn
from torch.nn import functional

torch.set_num_threads(1)
EXAMPLES = Path(__file__).parents[3] / "examples" / "import"


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def patch_of(name: str) -> Any:
    return load_yaml((EXAMPLES / f"{name}-patch.yaml").read_text())


def stirred(module: nn.Module) -> nn.Module:
    """With weights and statistics that matter, all of them."""
    with torch.no_grad():
        for weight in module.parameters():
            weight.add_(torch.randn_like(weight) * 0.1)
        for name, buffer in module.named_buffers():
            if "running" in name:
                buffer.add_(torch.rand_like(buffer) * 0.2)
    return module.eval()


def assert_imports(module: nn.Module, inputs: dict[str, str], *tensors: Tensor) -> Imported:
    """The space has one architecture, and its network computes what the module does."""
    imported = Imported(stirred(module), inputs)
    space = Space.from_yaml(imported.space().to_yaml())
    assert space.size() == 1
    graph = space.graph(space.sample(Random(0)))
    network = build_module(graph).eval()
    network.load_state_dict(imported.state_dict(graph))
    with torch.no_grad():
        torch.testing.assert_close(network(*tensors), module(*tensors), rtol=1e-4, atol=1e-5)
    return imported


IMAGE = torch.randn(3, 3, 32, 32)
TOKENS = torch.randint(0, 100, (3, 16))


def test_the_residual_network_is_the_same() -> None:
    imported = assert_imports(example("resnet").small(), {"x": "image:3x32x32"}, IMAGE)
    text = imported.space().to_yaml()
    assert "residual:" in text
    assert "parallel:" in text
    assert "from:" not in text


def test_the_transformer_is_the_same() -> None:
    imported = assert_imports(example("transformer").small(), {"tokens": "tokens:16"}, TOKENS)
    assert "layer: attention" in imported.space().to_yaml()


@pytest.mark.parametrize(
    ("name", "inputs", "tensor"),
    [("resnet", {"x": "image:3x32x32"}, IMAGE), ("transformer", {"tokens": "tokens:16"}, TOKENS)],
)
def test_patched_spaces_sample_and_build(name: str, inputs: dict[str, str], tensor: Tensor) -> None:
    space = import_module(example(name).small(), inputs, patch=patch_of(name))
    rng = Random(0)
    hashes = set()
    for _ in range(50):
        graph = space.graph(space.sample(rng))
        hashes.add(graph.hash)
        with torch.no_grad():
            build_module(graph).eval()(tensor[:1])
    assert len(hashes) > 25


def test_the_resnet_patch_decides_what_it_says() -> None:
    space = import_module(example("resnet").small(), {"x": "image:3x32x32"}, patch=patch_of("resnet"))
    domains = {info.path: info.domain for info in space.decisions()}
    assert "layer2.depth" in domains
    assert "layer3.rest[1].residual.conv1.k" in domains
    architecture = space.sample(Random(1))
    graph = space.graph(architecture)
    widths = {node.path: node.shape.channels for node in graph.nodes}
    assert widths["conv1"] == widths["layer1.block1.residual.conv2"] == architecture["width1"]
    assert (
        widths["layer2.block0.parallel.downsample.conv0"] == widths["layer2.block0.parallel.branch.conv2"]
        == architecture["layer2_0_conv2_out"]
    )  # fmt: skip


def test_an_open_architecture_takes_the_weights_that_fit() -> None:
    module = stirred(example("transformer").small())
    imported = Imported(module, {"tokens": "tokens:16"})
    patch = {"blocks.*.fc1": {"ratio": {"choice": [2, 4]}}, "blocks": {"depth": {"int": [1, 3]}}}
    space = imported.space(patch)
    given = {"blocks.depth": 2, "blocks.residual_2.fc1.ratio": 4}
    same = next(each for each in space.enumerate() if dict(each.decisions) == given)
    graph = space.graph(same)
    network = build_module(graph).eval()
    network.load_state_dict(imported.state_dict(graph, patch))
    with torch.no_grad():
        torch.testing.assert_close(network(TOKENS), module(TOKENS), rtol=1e-4, atol=1e-5)
    other = next(each for each in space.enumerate() if each["blocks.residual_2.fc1.ratio"] == 2)
    kept = imported.state_dict(space.graph(other), patch)
    assert any("attn" in name for name in kept)
    assert not any("fc1" in name for name in kept)


class Squeezed(nn.Module):
    """Depthwise and grouped convolutions, a squeeze-excite by hand, functional calls, a concatenation."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.expand = nn.Conv2d(8, 24, 1)
        self.depthwise = nn.Conv2d(24, 24, 5, padding=2, groups=24)
        self.reduce = nn.Conv2d(24, 6, 1)
        self.restore = nn.Conv2d(6, 24, 1)
        self.project = nn.Conv2d(24, 8, 1)
        self.grouped = nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=2)
        self.head = nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(functional.silu(self.stem(x)), 3, stride=2, padding=1)
        y = torch.relu(self.depthwise(self.expand(x)))
        gate = self.restore(functional.relu(self.reduce(y.mean((2, 3), keepdim=True))))
        x = x + self.project(y * gate.sigmoid())
        x = torch.cat([x, self.grouped(x)], dim=1)
        return self.head(functional.adaptive_avg_pool2d(x, 1).flatten(1))


def test_functions_gates_and_groups_are_read() -> None:
    module = Squeezed()
    imported = assert_imports(module, {"x": "image:3x32x32"}, IMAGE)
    space = imported.space({"expand": {"out": {"choice": [16, 24, 48]}}})
    assert space.size() == 3
    for architecture in space.enumerate():
        graph = space.graph(architecture)
        build_module(graph)(IMAGE)
        depthwise = next(node for node in graph.nodes if node.path.endswith("depthwise"))
        assert depthwise.params["groups"] == depthwise.shape.channels
    imported.space({"project": {"out": {"choice": [8, 16]}}})


class Patches(nn.Module):
    """A vision transformer with a class token, and attention as timm writes it."""

    class Attention(nn.Module):
        def __init__(self, dim: int, num_heads: int) -> None:
            super().__init__()
            self.num_heads = num_heads
            self.qkv = nn.Linear(dim, 3 * dim)
            self.proj = nn.Linear(dim, dim)

        def forward(self, x: Tensor) -> Tensor:
            n, t, c = x.shape
            q, k, v = self.qkv(x).reshape(n, t, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
            return self.proj(
                functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, t, c)
            )

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 16, 8, stride=8)
        self.token = nn.Parameter(torch.randn(1, 1, 16))
        self.position = nn.Parameter(torch.randn(1, 17, 16))
        self.norm = nn.LayerNorm(16)
        self.attention = self.Attention(16, 4)
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat((self.token.expand(x.shape[0], -1, -1), x), dim=1) + self.position
        x = x + self.attention(self.norm(x))
        return self.head(x[:, 0])


def test_a_vision_transformer_is_read() -> None:
    imported = assert_imports(Patches(), {"x": "image:3x32x32"}, IMAGE)
    space = imported.space(
        {"patch": {"out": {"choice": [16, 32]}}, "attention": {"heads": {"choice": [2, 4]}}}
    )
    for architecture in space.enumerate():
        build_module(space.graph(architecture))(IMAGE)
    assert space.size() == 4


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(50, 12)
        self.conv = nn.Conv1d(12, 12, 3, padding=1)
        self.lstm = nn.LSTM(12, 10, 2, batch_first=True, bidirectional=True)
        self.mask: Tensor
        self.register_buffer("mask", torch.full((16, 16), float("-inf")).triu(1))
        self.attn = nn.MultiheadAttention(20, 4, batch_first=True, bias=False)
        self.out = nn.Linear(20, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.conv(self.embed(tokens).transpose(1, 2)).permute(0, 2, 1)
        x, _ = self.lstm(x)
        y, _ = self.attn(x, x, x, attn_mask=self.mask)
        return self.out(y[:, -1])


def test_recurrence_and_causal_attention_are_read() -> None:
    imported = assert_imports(Recurrent(), {"tokens": "tokens:16"}, TOKENS % 50)
    text = imported.space().to_yaml()
    assert "causal: true" in text
    assert "layer: lstm" in text


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Linear(6, 8)
        self.right = nn.Linear(4, 8)
        self.last = nn.Linear(8, 2)

    def forward(self, a: Tensor, b: Tensor) -> dict[str, Tensor]:
        both = torch.tanh(self.left(a)) * self.right(b)
        return {"both": both, "scores": self.last(both)}


def test_several_inputs_and_outputs_are_read() -> None:
    a, b = torch.randn(3, 6), torch.randn(3, 4)
    imported = assert_imports(TwoInputs(), {"a": "vector:6", "b": "vector:4"}, a, b)
    assert imported.space().tree.outputs == ("both", "scores")


class Tangled(nn.Module):
    """What is neither a residual nor a parallel: branches that read each other."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = (nn.Conv2d(4, 4, 3, padding=1) for _ in range(3))
        self.first = nn.Conv2d(3, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        one = self.a(x)
        two = self.b(x + one)
        return torch.relu(one + two * x + self.c(two))


def test_any_flow_is_read_by_names() -> None:
    imported = assert_imports(Tangled(), {"x": "image:3x32x32"}, IMAGE)
    assert "from:" in imported.space().to_yaml()
    space = imported.space({"first": {"out": {"choice": [4, 6]}}})  # everything is tied to it
    for architecture in space.enumerate():
        build_module(space.graph(architecture))(IMAGE)
    assert space.size() == 2


# --------------------------------------------------------------------------------- what is refused


def resnet(patch: Any) -> Space:
    return import_module(example("resnet").small(), {"x": "image:3x32x32"}, patch=patch)


@pytest.mark.parametrize(
    ("patch", "told"),
    [
        (
            {"layer1.*.conv3": {"k": 3}},
            r"no layer 'layer1\.\*\.conv3' \(did you mean 'layer1\.\*\.conv[12]'\?\)",
        ),
        (
            {"layer1.0.conv1": {"kk": 3}},
            r"'layer1\.0\.conv1' \(conv\) has no parameter 'kk' \(did you mean 'k'",
        ),
        ({"layer1.0.bn1": {"out": 3}}, "keeps its input's"),
        ({"layer1": {"out": {"choice": [8, 16]}}}, "is a block: patch its layers"),
        ({"layer4": {"depth": {"int": [1, 2]}}}, "no chain of blocks 'layer4'"),
        ({"layer2": {"depth": {"int": [1, 2]}, "k": 3}}, "'k' does not go with depth"),
        ({"layer1.0": {"depth": {"int": [1, 2]}}}, "has no depth"),
        ({"conv1": 3}, "expected a map"),
        ([], "a patch maps names"),
        (
            {
                "layer2.0.conv2": {"out": {"choice": [16, 32]}},
                "layer2.1.conv2": {"out": {"choice": [32, 48]}},
            },
            r"widths of 'layer2\.0\.conv2' and 'layer2\.1\.conv2' must agree \(they meet in 'layer2",
        ),
        ({"layer2.0.conv2": {"ratio": 2}}, "`ratio` cannot be used here; use `let: {wide: .*`out: =wide`"),
        ({"layer2.0.conv2": {"out": "=2*cin"}}, "must read variables of the patch's `let` alone"),
        ({"layer2.1.conv1": {"k": 5}, "layer2.0.conv1": {"k": 3}, "layer2": {"depth": 2}}, ""),
    ],
)
def test_patches_that_do_not_fit_say_why(patch: Any, told: str) -> None:
    if not told:
        assert resnet(patch).size() == 1
        return
    with pytest.raises(ImportFailed, match=told):
        resnet(patch)


def test_a_width_that_an_input_fixes_is_told_with_both_names() -> None:
    class Shortcut(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            return x + self.conv(x)

    with pytest.raises(
        ImportFailed, match=r"width of 'conv' must agree with that of the input 'x'.*meet in 'sum'"
    ):
        import_module(Shortcut(), {"x": "image:3x8x8"}, patch={"conv": {"out": {"choice": [3, 6]}}})


class Strange(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.fft.fft(x).real


class Holder(nn.Module):
    """One part inside a network."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.part = part

    def forward(self, x: Tensor) -> Tensor:
        return self.part(self.first(x))


@pytest.mark.parametrize(
    ("part", "told"),
    [
        (Strange(), "fft.*in the module 'part' is no operation that spaces know"),
        (nn.LPPool2d(2, 3), r"the module 'part' \(LPPool2d\) is no operation.*--opaque part=my_op"),
        (nn.Conv2d(4, 4, (3, 5)), r"the module 'part' \(Conv2d\): the kernel \(3, 5\) differs"),
        (nn.Conv2d(4, 4, 3, padding=2), "padding 2 is neither 0 nor half"),
        (nn.Conv2d(4, 4, 3, padding_mode="reflect"), "padding_mode 'reflect'"),
        (nn.LeakyReLU(0.3), "negative_slope is 0.01 in spaces, here it is 0.3"),
        (nn.AvgPool2d(3, 1, 1), "count_include_pad"),
        (nn.BatchNorm2d(4, affine=False), "affine"),
        (nn.Linear(32, 3), "channels of image"),
        (nn.BatchNorm2d(4, eps=1.0), "another eps"),
    ],
)
def test_what_cannot_be_said_is_named(part: nn.Module, told: str) -> None:
    with pytest.raises(ImportFailed, match=told):
        import_module(Holder(part), {"x": "image:3x32x32"})


def test_a_layer_that_is_called_twice_is_refused() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 3, padding=1)
            self.act = nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            return self.act(self.conv(self.act(self.conv(x))))

    with pytest.raises(ImportFailed, match=r"'conv'.*is called twice with the same weights"):
        import_module(Twice(), {"x": "image:3x8x8"})


def test_branches_on_values_are_told() -> None:
    class Branches(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(ImportFailed, match=r"torch\.fx cannot follow Branches"):
        import_module(Branches(), {"x": "vector:3"})


@pytest.mark.parametrize("text", ["image:3x32", "picture:3x3x3", "vector:", "seq:0x3", "image:3 x 3 x 3"])
def test_shapes_that_are_none_are_told(text: str) -> None:
    with pytest.raises(ImportFailed, match="is no shape of an input"):
        import_module(nn.Identity(), {"x": text})


def test_a_part_may_be_an_operation_of_the_users() -> None:
    from archloom.space.operations import opaque, register
    from archloom_evaluators.build import register_operation

    register(opaque("imported_strange", builder="tests:none"))
    register_operation("imported_strange", lambda parameters, inputs, output: Strange())
    imported = Imported(Holder(Strange()), {"x": "image:3x8x8"}, opaque={"part": "imported_strange"})
    space = imported.space({"first": {"k": {"choice": [1, 3]}}})
    assert space.size() == 2
    graph = space.graph(space.sample(Random(0)))
    assert build_module(graph)(torch.randn(2, 3, 8, 8)).shape == (2, 4, 8, 8)


class Encoder(nn.Module):
    """torch's own encoder layers, with a causal mask."""

    def __init__(self, norm_first: bool) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(
            16, 4, 32, dropout=0.1, activation="gelu", batch_first=True, norm_first=norm_first
        )
        self.embed = nn.Embedding(100, 16)
        self.mask: Tensor
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(16))
        self.encoder = nn.TransformerEncoder(layer, 2, nn.LayerNorm(16), enable_nested_tensor=False)
        self.last = nn.TransformerEncoderLayer(16, 2, 24, dropout=0.0, batch_first=True)
        self.head = nn.Linear(16, 7)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.last(self.encoder(self.embed(tokens), mask=self.mask))).transpose(1, 2)


@pytest.mark.parametrize("norm_first", [False, True])
def test_torchs_encoder_layers_are_taken_apart(norm_first: bool) -> None:
    imported = assert_imports(Encoder(norm_first), {"tokens": "tokens:16"}, TOKENS)
    patch = {
        "embed": {"out": {"choice": [16, 32]}},
        "encoder.layers.*.self_attn": {"heads": {"choice": [2, 4]}},
        "encoder.layers.*.linear1": {"ratio": {"choice": [1, 2, 3]}},
        "encoder.layers": {"depth": {"int": [1, 3]}},
    }
    space = imported.space(patch)
    assert space.size() == 2 * 2 * 3 * 3
    for seed in range(5):
        graph = space.graph(space.sample(Random(seed)))
        assert build_module(graph)(TOKENS).shape == (3, 7, 16)
    assert "causal: true" in space.to_yaml()
