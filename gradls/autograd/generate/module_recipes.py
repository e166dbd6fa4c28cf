"""How to make and call each module of torch.nn for the experiments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from gradls.autograd.generate import build_losses

Recipe = tuple[Callable[[], nn.Module], Callable[[], tuple[Any, ...]]]


def rand(*shape: int) -> Tensor:
    return torch.rand(*shape) + 0.1


def made(name: str, *arguments: Any, **keywords: Any) -> Callable[[], nn.Module]:
    return lambda: getattr(nn, name)(*arguments, **keywords)


def inputs(*shapes: tuple[int, ...]) -> Callable[[], tuple[Any, ...]]:
    return lambda: tuple(rand(*shape) for shape in shapes)


def activations() -> dict[str, Recipe]:
    plain = (
        "CELU ELU GELU Hardshrink Hardsigmoid Hardswish Hardtanh LeakyReLU LogSigmoid Mish PReLU ReLU ReLU6 RReLU SELU "
        "SiLU Sigmoid Softplus Softshrink Softsign Tanh Tanhshrink GLU AlphaDropout Dropout Identity"
    )
    found: dict[str, Recipe] = {name: (made(name), lambda: (rand(2, 4) - 0.4,)) for name in plain.split()}
    for name in ("LogSoftmax", "Softmax", "Softmin"):
        found[name] = made(name, -1), inputs((2, 4))
    found["Softmax2d"] = made("Softmax2d"), inputs((2, 3, 4, 4))
    found["Threshold"] = made("Threshold", 0.2, 0.0), inputs((2, 4))
    for count in (1, 2, 3):
        found[f"Dropout{count}d"] = made(f"Dropout{count}d"), inputs((2, 3) + (4,) * count)
    found["FeatureAlphaDropout"] = made("FeatureAlphaDropout"), inputs((2, 3, 4, 4, 4))
    return found


def layers() -> dict[str, Recipe]:
    found: dict[str, Recipe] = {
        "Linear": (made("Linear", 4, 3), inputs((2, 4))),
        "LazyLinear": (made("LazyLinear", 3), inputs((2, 4))),
        "Bilinear": (made("Bilinear", 4, 5, 3), inputs((2, 4), (2, 5))),
        "Embedding": (made("Embedding", 5, 3), lambda: (torch.tensor([0, 3]),)),
        "EmbeddingBag": (made("EmbeddingBag", 5, 3), lambda: (torch.tensor([[0, 3]]),)),
        "LayerNorm": (made("LayerNorm", 4), inputs((2, 4))),
        "RMSNorm": (made("RMSNorm", 4), inputs((2, 4))),
        "GroupNorm": (made("GroupNorm", 2, 4), inputs((2, 4, 3))),
        "LocalResponseNorm": (made("LocalResponseNorm", 2), inputs((2, 4, 3, 3))),
        "CrossMapLRN2d": (made("CrossMapLRN2d", 2), inputs((2, 4, 3, 3))),
        "RNN": (made("RNN", 4, 3), inputs((5, 2, 4))),
        "LSTM": (made("LSTM", 4, 3), inputs((5, 2, 4))),
        "GRU": (made("GRU", 4, 3), inputs((5, 2, 4))),
        "RNNCell": (made("RNNCell", 4, 3), inputs((2, 4))),
        "LSTMCell": (made("LSTMCell", 4, 3), inputs((2, 4))),
        "GRUCell": (made("GRUCell", 4, 3), inputs((2, 4))),
        "MultiheadAttention": (made("MultiheadAttention", 4, 2), inputs((3, 2, 4), (3, 2, 4), (3, 2, 4))),
        "TransformerEncoderLayer": (made("TransformerEncoderLayer", 4, 2, 8), inputs((3, 2, 4))),
        "TransformerDecoderLayer": (made("TransformerDecoderLayer", 4, 2, 8), inputs((3, 2, 4), (3, 2, 4))),
        "TransformerEncoder": (
            lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8), 1, enable_nested_tensor=False),
            inputs((3, 2, 4)),
        ),
        "TransformerDecoder": (
            lambda: nn.TransformerDecoder(nn.TransformerDecoderLayer(4, 2, 8), 1),
            inputs((3, 2, 4), (3, 2, 4)),
        ),
        "Transformer": (made("Transformer", 4, 2, 1, 1, 8), inputs((3, 2, 4), (3, 2, 4))),
        "AdaptiveLogSoftmaxWithLoss": (
            made("AdaptiveLogSoftmaxWithLoss", 4, 6, [2, 4]),
            lambda: (rand(3, 4), torch.tensor([0, 3, 5])),
        ),
        "CosineSimilarity": (made("CosineSimilarity"), inputs((2, 4), (2, 4))),
        "PairwiseDistance": (made("PairwiseDistance"), inputs((2, 4), (2, 4))),
        "SyncBatchNorm": (lambda: nn.SyncBatchNorm(3).eval(), inputs((2, 3, 4))),
    }
    for count in (1, 2, 3):
        space = (5,) * count
        for prefix, lazy in (("", False), ("Lazy", True)):
            channels = () if lazy else (3,)
            for kind in ("Conv", "ConvTranspose"):
                name = f"{prefix}{kind}{count}d"
                found[name] = made(name, *channels, 2, 3), inputs((2, 3, *space))
            for kind in ("BatchNorm", "InstanceNorm"):
                name = f"{prefix}{kind}{count}d"
                keywords = {"affine": True, "track_running_stats": True} if kind == "InstanceNorm" else {}
                found[name] = made(name, *channels, **keywords), inputs((2, 3, *space))
    return found


def shapes() -> dict[str, Recipe]:
    image = inputs((2, 4, 6, 6))
    found: dict[str, Recipe] = {
        "Flatten": (made("Flatten"), image),
        "Unflatten": (made("Unflatten", 1, (2, 2)), image),
        "PixelShuffle": (made("PixelShuffle", 2), image),
        "PixelUnshuffle": (made("PixelUnshuffle", 2), image),
        "ChannelShuffle": (made("ChannelShuffle", 2), image),
        "Upsample": (made("Upsample", scale_factor=2), image),
        "UpsamplingNearest2d": (made("UpsamplingNearest2d", scale_factor=2), image),
        "UpsamplingBilinear2d": (made("UpsamplingBilinear2d", scale_factor=2), image),
        "Fold": (made("Fold", (4, 4), 2), inputs((1, 8, 9))),
        "Unfold": (made("Unfold", 2), image),
    }
    for count in (1, 2, 3):
        single = inputs((2, 3) + (6,) * count)
        for name in (f"MaxPool{count}d", f"AvgPool{count}d", f"AdaptiveAvgPool{count}d", f"AdaptiveMaxPool{count}d"):
            found[name] = made(name, 2), single
        found[f"LPPool{count}d"] = made(f"LPPool{count}d", 2, 2), single
        for kind in ("ReflectionPad", "ReplicationPad", "CircularPad", "ZeroPad"):
            found[f"{kind}{count}d"] = made(f"{kind}{count}d", 1), single
        found[f"ConstantPad{count}d"] = made(f"ConstantPad{count}d", 1, 0.5), single
        if count > 1:
            name = f"FractionalMaxPool{count}d"
            found[name] = made(name, 2, output_size=3), single
        found[f"MaxUnpool{count}d"] = made(f"MaxUnpool{count}d", 2), unpool(count)
    return found


def unpool(count: int) -> Callable[[], tuple[Any, ...]]:
    def make() -> tuple[Any, ...]:
        values, indices = getattr(nn, f"MaxPool{count}d")(2, return_indices=True)(rand(*((2, 3) + (4,) * count)))
        return values, indices

    return make


def all_of(makers: tuple[Callable[[], Tensor], ...]) -> Callable[[], tuple[Any, ...]]:
    return lambda: tuple(make() for make in makers)


def losses() -> dict[str, Recipe]:
    found: dict[str, Recipe] = {}
    for loss in build_losses.LOSSES:
        if loss.module == "LinearCrossEntropyLoss":
            found[loss.module] = made(loss.module, 3, 4), lambda: (build_losses.scores(), build_losses.labels())
        else:
            found[loss.module] = made(loss.module), all_of(loss.makers)
    found["NLLLoss2d"] = found["NLLLoss"]
    return found


def recipes() -> dict[str, Recipe]:
    """From the name of each module that can be called to how to make it and how to make its inputs."""
    return activations() | layers() | shapes() | losses()
