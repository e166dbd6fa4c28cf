"""The shapes that the layers of torch.nn give, as far as literals tell; a dimension of unknown size is None."""

from __future__ import annotations

import re
from collections.abc import Mapping

from gradls.autograd.modules import ModuleSpec
from gradls.flow.shapes import Shape
from gradls.flow.values import Host, Sequence, Tensor, Value

Options = Mapping[str, Value]
_CHANNELS = re.compile(r"(?:Conv|ConvTranspose|MaxPool|AvgPool|AdaptiveAvgPool|AdaptiveMaxPool|LPPool)([123])d$")


def of_layer(spec: ModuleSpec, options: Options, first: Value | None) -> Shape | None:
    """The shape of the result of a layer whose first input is `first`."""
    shape = first.shape if isinstance(first, Tensor) else None
    if not shape:
        return None
    name = spec.name.rpartition(".")[2]
    if name in ("Linear", "LazyLinear"):
        return (*shape[:-1], _integer(options.get("out_features")))
    if name == "Embedding":
        return (*shape, _integer(options.get("embedding_dim")))
    if name == "EmbeddingBag":
        # A bag in each row, or, with offsets, as many as there are of these.
        return (shape[0] if len(shape) == 2 else None, _integer(options.get("embedding_dim")))
    if name.endswith("RNNCell") or name == "GRUCell":
        return (*shape[:-1], _integer(options.get("hidden_size")))
    if spec.kind == "recurrent":
        return (*shape[:-1], _of_both(options, _projected(options)))
    match = _CHANNELS.match(name)
    if match:
        return _of_channels(name, int(match[1]), options, shape)
    return shape if spec.kind in ("activation", "dropout", "norm", "identity") else None


def of_state(options: Options, first: Value | None, cell: bool) -> Shape | None:
    """The shape of the last state that a recurrent layer gives, or of its cell: layers, batch if there is one, size."""
    shape = first.shape if isinstance(first, Tensor) else None
    if shape is None or len(shape) not in (2, 3):
        return None
    of_batch = options.get("batch_first")
    first_is_batch = (
        of_batch.value if isinstance(of_batch, Host) and of_batch.known else False if of_batch is None else None
    )
    batch: Shape = () if len(shape) == 2 else (None if first_is_batch is None else shape[0 if first_is_batch else 1],)
    layers = _of_both(options, 1 if "num_layers" not in options else _integer(options["num_layers"]))
    return (layers, *batch, _integer(options.get("hidden_size")) if cell else _projected(options))


def _projected(options: Options) -> int | None:
    """How large a state is that leaves a recurrent layer."""
    projection = options.get("proj_size")
    size = 0 if projection is None else _integer(projection)
    return size or (None if size is None else _integer(options.get("hidden_size")))


def _of_both(options: Options, count: int | None) -> int | None:
    """As often as a recurrent layer has directions."""
    both = options.get("bidirectional")
    if count is None or (both is not None and not (isinstance(both, Host) and both.known)):
        return None
    return 2 * count if isinstance(both, Host) and both.value else count


def _of_channels(name: str, dimensions: int, options: Options, shape: Shape) -> Shape | None:
    """Convolutions and poolings: channels, then as many sizes as the layer has dimensions."""
    if len(shape) not in (dimensions + 1, dimensions + 2):
        return None
    before, channels, sizes = shape[: -dimensions - 1], shape[-dimensions - 1], shape[-dimensions:]
    if name.startswith("Conv"):
        channels = _integer(options.get("out_channels"))
    after: Shape = (None,) * dimensions
    if name.startswith("Adaptive"):
        after = _several(options.get("output_size"), dimensions)
    elif not name.startswith(("ConvTranspose", "LP")):
        after = tuple(_slid(options, size, number, dimensions) for number, size in enumerate(sizes))
    return (*before, channels, *after)


def _slid(options: Options, size: int | None, number: int, dimensions: int) -> int | None:
    """How often a window fits."""
    kernel = _several(options.get("kernel_size"), dimensions)[number]
    given = options.get("stride")
    stride = kernel if given is None or _is_none(given) else _several(given, dimensions)[number]
    padding = _several(options.get("padding"), dimensions, 0)[number]
    dilation = _several(options.get("dilation"), dimensions, 1)[number]
    ceil = options.get("ceil_mode")
    rounds_down = ceil is None or (isinstance(ceil, Host) and ceil.value is False)
    if size is None or kernel is None or not stride or padding is None or dilation is None or not rounds_down:
        return None
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def _several(value: Value | None, count: int, default: int | None = None) -> Shape:
    """One number for all dimensions, or one for each."""
    if value is None:
        return (default,) * count
    if isinstance(value, Sequence) and value.rest is None and len(value.items) == count:
        return tuple(_integer(item) for item in value.items)
    return (_integer(value),) * count


def _integer(value: Value | None) -> int | None:
    return value.value if isinstance(value, Host) and type(value.value) is int else None


def _is_none(value: Value) -> bool:
    return isinstance(value, Host) and value.kind == "none"
