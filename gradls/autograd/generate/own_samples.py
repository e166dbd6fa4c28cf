"""Samples of our own: where PyTorch's database has none, or only unusual ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from gradls.autograd.generate.samples import Sample


def rand(*shape: int) -> Tensor:
    return torch.rand(*shape) + 0.1


def one(*args: Any, **kwargs: Any) -> list[Sample]:
    return [Sample(list(args), kwargs)]


def two_tensors() -> list[Sample]:
    return [Sample([rand(3, 4), rand(4)]), Sample([rand(4), rand(3, 4)]), Sample([rand(3, 4), 2.5])]


def whole() -> Tensor:
    return torch.tensor([[1, 2, 3], [6, 5, 4]])


def cell_weights(gates: int) -> tuple[Tensor, ...]:
    return rand(gates * 3, 4), rand(gates * 3, 3), rand(gates * 3), rand(gates * 3)


def image(count: int) -> Tensor:
    return rand(*((2, 3) + (6,) * count))


def clamped() -> list[Sample]:
    return [Sample([rand(3, 4), 0.2, 0.8]), Sample([rand(3, 4)], {"min": 0.2}), Sample([rand(3, 4), rand(4), rand(4)])]


def divided() -> list[Sample]:
    rounded = {"rounding_mode": "floor"}
    return [*two_tensors(), Sample([rand(3, 4), rand(4)], dict(rounded)), Sample([rand(3, 4), 0.3], dict(rounded))]


def chosen() -> list[Sample]:
    mask = rand(4) > 0.5
    return [
        Sample([mask, 0.1, 0.5]),
        Sample([mask, rand(3, 1), rand(4)]),
        Sample([mask, rand(3, 4), 0.5]),
        Sample([mask, 0.5, rand(3, 4)]),
    ]


def classified() -> list[Sample]:
    scores, labels, shares = rand(3, 4), torch.tensor([3, 0, 2]), rand(3, 4).softmax(1)
    return [
        Sample([scores, labels]),
        Sample([scores, shares]),
        Sample([scores, labels], {"reduction": "sum"}),
        Sample([scores, shares], {"reduction": "none"}),
        Sample([scores, shares], {"weight": rand(4)}),
    ]


def ctc() -> list[Sample]:
    probabilities = torch.rand(4, 2, 3).log_softmax(2)
    labels, lengths = torch.tensor([[1, 2], [2, 1]]), (torch.tensor([4, 4]), torch.tensor([2, 2]))
    return [Sample([probabilities, labels, *lengths]), Sample([probabilities, labels, [4, 4], [2, 2]])]


def recurrent(gates: int) -> list[Sample]:
    state: Any = rand(1, 2, 3)
    if gates == 4:
        state = [state, rand(1, 2, 3)]
    return one(rand(5, 2, 4), state, list(cell_weights(gates)), True, 1, 0.0, True, False, False)


def attention() -> list[Sample]:
    query = rand(3, 2, 4)
    return one(query, query, query, 4, 2, rand(12, 4), rand(12), None, None, False, 0.0, rand(4, 4), rand(4))


def on_image(count: int, *args: Any) -> Callable[[], list[Sample]]:
    """A sample whose first argument has `count` dimensions of space."""
    return lambda: one(image(count), *args)


OWN: dict[str, Callable[[], list[Sample]]] = {
    **{f"__{word}__": two_tensors for word in (
        "add", "sub", "mul", "truediv", "div", "floordiv", "mod", "pow", "eq", "ne", "lt", "le", "gt", "ge",
        "iadd", "isub", "imul", "itruediv", "idiv", "ifloordiv", "imod", "ipow",
        "radd", "rsub", "rmul", "rtruediv", "rdiv", "rfloordiv", "rmod", "rpow",
    )},
    **{f"__{prefix}{word}__": lambda: [Sample([whole(), whole()]), Sample([whole(), 2])]
       for word in ("and", "or", "xor", "lshift", "rshift") for prefix in ("", "i", "r")},
    **{f"bitwise_{word}": lambda: [Sample([whole(), whole()]), Sample([whole(), 2]), Sample([2, whole()])]
       for word in ("and", "or", "xor", "left_shift", "right_shift")},
    "cdist": lambda: [Sample([rand(3, 4), rand(2, 4)]), Sample([rand(2, 3, 4), rand(2, 5, 4)]),
                      # Of many rows it is computed in another way, which can be differentiated twice.
                      Sample([rand(30, 4), rand(2, 4)])],
    "pinv": lambda: one(rand(3, 3) + torch.eye(3)),
    "remainder": lambda: [*two_tensors(), Sample([2.0, rand(3, 4)])],
    "__neg__": lambda: one(rand(3, 4)),
    "__pos__": lambda: one(rand(3, 4)),
    "__abs__": lambda: one(rand(3, 4)),
    "__invert__": lambda: one(whole()),
    "__matmul__": lambda: [Sample([rand(3, 4), rand(4, 2)]), Sample([rand(2, 3, 4), rand(4, 2)])],
    "__rmatmul__": lambda: one(rand(4, 2), rand(3, 4)),
    "__getitem__": lambda: [Sample([rand(3, 4), 0]), Sample([rand(3, 4), slice(1, None)])],
    "__setitem__": lambda: [Sample([rand(3, 4), 0, rand(4)]), Sample([rand(3, 4), torch.tensor([0, 2]), rand(2, 4)])],
    "matmul": lambda: [Sample([rand(3, 4), rand(4, 2)]), Sample([rand(2, 3, 4), rand(4, 2)])],
    "affine_grid": lambda: one(rand(2, 2, 3), [2, 1, 4, 4]),
    "fold": lambda: one(rand(1, 8, 9), (4, 4), 2),
    "gumbel_softmax": lambda: [Sample([rand(3, 4)]), Sample([rand(3, 4)], {"hard": True})],
    **{f"lp_pool{count}d": on_image(count, 2.0, 2) for count in (1, 2, 3)},
    "conv_tbc": lambda: one(rand(5, 2, 3), rand(2, 3, 4), rand(4)),
    "chain_matmul": lambda: one(rand(2, 3), rand(3, 4), rand(4, 2)),
    "poisson": lambda: one(rand(3, 4)),
    "binomial": lambda: one(torch.full((3,), 5.0), torch.full((3,), 0.4)),
    "vander": lambda: one(rand(4)),
    "gru_cell": lambda: one(rand(2, 4), rand(2, 3), *cell_weights(3)),
    "rnn_tanh_cell": lambda: one(rand(2, 4), rand(2, 3), *cell_weights(1)),
    "rnn_relu_cell": lambda: one(rand(2, 4), rand(2, 3), *cell_weights(1)),
    "pixel_shuffle": lambda: one(rand(1, 4, 3, 3), 2),
    "pixel_unshuffle": lambda: one(rand(1, 1, 4, 4), 2),
    "channel_shuffle": lambda: one(rand(1, 4, 3, 3), 2),
    "native_channel_shuffle": lambda: one(rand(1, 4, 3, 3), 2),
    "norm_except_dim": lambda: one(rand(3, 4)),
    "frobenius_norm": lambda: one(rand(3, 4), [1]),
    "slogdet": lambda: one(torch.eye(3) * 2 + rand(3, 3)),
    "to_dense": lambda: one(rand(3, 4)),
    "type_as": lambda: one(rand(3, 4), rand(2)),
    "detach": lambda: one(rand(3, 4)),
    "retain_grad": lambda: one(rand(3, 4)),
    "segment_reduce": lambda: one(rand(4, 2), "mean", lengths=torch.tensor([1, 3])),
    "grid_sampler": lambda: one(rand(1, 2, 4, 4), rand(1, 3, 3, 2), 0, 0, False),
    "convolution": lambda: one(image(2), rand(4, 3, 3, 3), rand(4), [1, 1], [0, 0], [1, 1], False, [0, 0], 1),
    "embedding_bag": lambda: one(torch.tensor([[0, 2], [1, 1]]), rand(4, 3)),
    **{f"dropout{count}d": on_image(count) for count in (1, 2, 3)},
    "alpha_dropout": lambda: one(rand(3, 4), 0.5, True),
    "feature_alpha_dropout": lambda: one(image(3), 0.5, True),
    "feature_dropout": lambda: one(image(3), 0.5, True),
    "fake_quantize_per_tensor_affine": lambda: one(rand(3, 4), 0.1, 0, 0, 255),
    "random": lambda: one(rand(3, 4)),
    "fill_diagonal": lambda: one(rand(3, 3), 0.5),
    "is_same_size": lambda: one(rand(3, 4), rand(3, 4)),
    "dropout": lambda: one(rand(3, 4), 0.5, True),
    "native_dropout": lambda: one(rand(3, 4), 0.5, True),
    "unsafe_split_with_sizes": lambda: one(rand(4, 3), [1, 3]),
    "unique_consecutive": lambda: one(rand(4)),
    "unique_dim": lambda: one(rand(4, 3), 0),
    "max": lambda: [Sample([rand(3, 4)]), Sample([rand(3, 4), 1]), Sample([rand(3, 4), rand(3, 4)])],
    "min": lambda: [Sample([rand(3, 4)]), Sample([rand(3, 4), 1]), Sample([rand(3, 4), rand(3, 4)])],
    "cosine_embedding_loss": lambda: one(rand(2, 4), rand(2, 4), torch.tensor([1.0, -1.0])),
    "multi_head_attention_forward": attention,
    "scaled_dot_product_attention": lambda: one(rand(2, 2, 3, 4), rand(2, 2, 3, 4), rand(2, 2, 3, 4)),
    "linear_cross_entropy": lambda: one(rand(3, 4), rand(5, 4), torch.tensor([0, 4, 2])),
    "stft": lambda: one(rand(64), 16, window=torch.hann_window(16), return_complex=True),
    "upsample": lambda: one(rand(1, 2, 3, 3), scale_factor=2),
    "upsample_nearest": lambda: one(rand(1, 2, 3, 3), scale_factor=2),
    "upsample_bilinear": lambda: one(rand(1, 2, 3, 3), scale_factor=2),
    "softsign": lambda: one(rand(3, 4)),
    "tanhshrink": lambda: one(rand(3, 4)),
    "svd_lowrank": lambda: one(rand(5, 4), 2),
    "pca_lowrank": lambda: one(rand(5, 4), 2),
    "lobpcg": lambda: one(torch.eye(6) * torch.arange(1.0, 7.0), 1),
    "einsum": lambda: one("ij,jk->ik", rand(3, 4), rand(4, 2)),
    "embedding": lambda: one(torch.tensor([[0, 2], [1, 1]]), rand(4, 3)),
    "torch.embedding": lambda: one(rand(4, 3), torch.tensor([[0, 2], [1, 1]])),
    "torch.embedding_bag": lambda: one(rand(4, 3), torch.tensor([0, 2, 1]), torch.tensor([0, 1])),
    "torch.batch_norm": lambda: one(rand(3, 2, 4), rand(2), rand(2), rand(2), rand(2), True, 0.1, 1e-5, False),
    "torch.instance_norm": lambda: one(rand(3, 2, 4), rand(2), rand(2), rand(2), rand(2), True, 0.1, 1e-5, False),
    **{f"torch.max_pool{count}d": on_image(count, 2) for count in (1, 2, 3)},
    **{f"{kind}max_pool{count}d_with_indices": on_image(count, 2)
       for count in (1, 2, 3) for kind in ("", "adaptive_")},
    **{f"fractional_max_pool{count}d_with_indices": on_image(count, 2, 3) for count in (2, 3)},
    "torch.ctc_loss": ctc,
    "torch.nn.functional.cross_entropy": classified,
    "clip": clamped,
    "clamp": clamped,
    "divide": divided,
    "div": divided,
    "where": chosen,
    "torch.Tensor.where": lambda: [Sample([rand(3, 4), rand(3, 4) > 0.5, 0.5]),
                                   Sample([rand(3, 4), rand(3, 4) > 0.5, rand(4)])],
    "float_power_": lambda: [Sample([rand(3, 4).double(), 2.0]), Sample([rand(3, 4).double(), rand(3, 4).double()])],
    "quantile": lambda: [Sample([rand(3, 4), 0.5]), Sample([rand(3, 4), torch.tensor([0.2, 0.5])])],
    "nanquantile": lambda: [Sample([rand(3, 4), 0.5]), Sample([rand(3, 4), torch.tensor([0.2, 0.5])])],
    "nuclear_norm": lambda: [Sample([rand(3, 4)]), Sample([rand(3, 4), [0, 1]])],
    "torch.linalg.norm": lambda: [Sample([rand(3, 4)]), Sample([rand(3, 4), 2, 1]), Sample([rand(3, 4), "nuc"])],
    "torch.linalg.matrix_norm": lambda: [Sample([rand(3, 4), 2]), Sample([rand(3, 4)]), Sample([rand(3, 4), "nuc"])],
    "lstm_cell": lambda: one(rand(2, 4), [rand(2, 3), rand(2, 3)], *cell_weights(4)),
    "lstm": lambda: recurrent(4),
    "gru": lambda: recurrent(3),
    "rnn_tanh": lambda: recurrent(1),
    "rnn_relu": lambda: recurrent(1),
    "conv2d": lambda: [Sample([image(2), rand(4, 3, 3, 3), rand(4)]),
                       Sample([image(2), rand(4, 3, 3, 3), None], {"padding": "same"})],
    "smm": lambda: one(torch.eye(3).to_sparse(), rand(3, 2)),
    "coalesce": lambda: one(torch.eye(3).to_sparse()),
    "sum": lambda: [Sample([rand(3, 4)]), Sample([rand(3, 4), 1])],
    "mean": lambda: [Sample([rand(3, 4)]), Sample([rand(3, 4), 1])],
}  # fmt: skip
