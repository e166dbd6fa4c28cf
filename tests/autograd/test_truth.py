"""What the tables say of an operation against what PyTorch does when it runs.

This shares nothing with the generator: calls are made here, and every claim of the table is an experiment.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from gradls.autograd.calls import select  # noqa: E402
from gradls.autograd.ops import Op, find_op  # noqa: E402

Case = tuple[str, Callable[[], list[Any]], dict[str, Any]]


def rand(*shape: int) -> Any:
    return torch.rand(*shape) * 0.8 + 0.1


def case(spelling: str, *args: Any, **kwargs: Any) -> Case:
    """Tuples of numbers in `args` are shapes of random tensors; functions make other arguments."""

    def make() -> list[Any]:
        torch.manual_seed(0)
        return [rand(*arg) if isinstance(arg, tuple) else arg() if callable(arg) else arg for arg in args]

    return spelling, make, kwargs


def labels() -> Any:
    return torch.tensor([2, 0, 1])


_UNARY = """
    abs acos asin atan ceil cos cosh digamma erf erfc erfinv exp exp2 expm1 floor frac lgamma log log10 log1p log2
    logit neg reciprocal relu round rsqrt sigmoid sign sin sinc sinh sqrt square tan tanh trunc clone flatten triu
    std var sum mean prod max min median norm isnan argmax histc logsumexp nan_to_num count_nonzero fix softmax cumsum
    cumprod cummax sort topk deg2rad selu celu
"""
UNARY = _UNARY.split()
NEEDS_DIM = {"softmax": 1, "cumsum": 1, "cumprod": 1, "cummax": 1, "logsumexp": 1, "topk": 2}
_BINARY = "add sub mul div pow atan2 hypot maximum minimum fmod remainder copysign xlogy eq lt floor_divide"
BINARY = _BINARY.split()
WITH_NUMBERS = [name for name in BINARY if name not in ("atan2", "hypot", "maximum", "minimum")]
_FUNCTIONAL = """
    relu leaky_relu elu gelu silu mish softplus hardtanh hardswish hardsigmoid logsigmoid tanhshrink softsign glu
"""
FUNCTIONAL = _FUNCTIONAL.split()
_OPERATORS = "add sub mul truediv pow matmul radd rsub rmul rtruediv rpow mod lt"
OPERATORS = _OPERATORS.split()

CASES: list[Case] = [
    *(case(f"torch.{name}", (4, 4), *([NEEDS_DIM[name]] if name in NEEDS_DIM else [])) for name in UNARY),
    *(case(f"torch.{name}", (3, 4), (4,)) for name in BINARY),
    *(case(f"torch.Tensor.{name}", (3, 4), 2.0) for name in WITH_NUMBERS),
    *(case(f"torch.Tensor.{name}_", (3, 4), (4,)) for name in ("add", "sub", "mul", "div", "pow")),
    *(case(f"torch.Tensor.{name}_", (3, 4)) for name in ("exp", "relu", "sigmoid", "tanh", "sqrt", "zero", "abs")),
    *(case(f"torch.nn.functional.{name}", (3, 4)) for name in FUNCTIONAL),
    *(case(f"torch.Tensor.__{name}__", (4, 4), (4, 4)) for name in OPERATORS),
    *(case(f"torch.Tensor.__{name}__", (3, 4), 2.0) for name in OPERATORS if name != "matmul"),
    case("torch.matmul", (2, 3, 4), (4, 5)),
    case("torch.mm", (3, 4), (4, 5)),
    case("torch.bmm", (2, 3, 4), (2, 4, 5)),
    case("torch.addmm", (3, 5), (3, 4), (4, 5)),
    case("torch.einsum", "ij,jk->ik", (3, 4), (4, 5)),
    case("torch.dot", (4,), (4,)),
    case("torch.cat", lambda: [rand(2, 3), rand(2, 3)]),
    case("torch.stack", lambda: [rand(2, 3), rand(2, 3)], 1),
    case("torch.where", lambda: rand(3, 4) > 0.5, (3, 4), (4,)),
    case("torch.where", lambda: rand(3, 4) > 0.5, (3, 4), 0.0),
    case("torch.clamp", (3, 4), 0.2, 0.8),
    case("torch.clamp", (3, 4), min=0.3),
    case("torch.lerp", (3, 4), (3, 4), 0.3),
    case("torch.lerp", (3, 4), (3, 4), (3, 4)),
    case("torch.gather", (3, 4), 1, lambda: torch.tensor([[0], [1], [2]])),
    case("torch.index_select", (3, 4), 0, lambda: torch.tensor([0, 2])),
    case("torch.masked_select", (3, 4), lambda: torch.eye(3, 4) > 0),
    case("torch.Tensor.masked_fill", (3, 4), lambda: torch.eye(3, 4) > 0, 0.0),
    case("torch.Tensor.scatter_add", (3, 4), 0, lambda: torch.zeros(3, 4, dtype=torch.long), (3, 4)),
    case("torch.max", (3, 4), 1),
    case("torch.max", (3, 4), (3, 4)),
    case("torch.sum", (3, 4), 1),
    case("torch.amax", (3, 4), 1),
    case("torch.linalg.norm", (3, 4)),
    case("torch.linalg.inv", lambda: rand(3, 3) + 3 * torch.eye(3)),
    case("torch.linalg.det", lambda: rand(3, 3) + 3 * torch.eye(3)),
    case("torch.linalg.solve", lambda: rand(3, 3) + 3 * torch.eye(3), (3, 2)),
    case("torch.cdist", (3, 4), (2, 4)),
    case("torch.special.bessel_j0", (3,)),
    case("torch.special.i1", (3,)),
    case("torch.fft.fft", (8,)),
    case("torch.heaviside", (3,), (3,)),
    case("torch.bernoulli", (3, 4)),
    case("torch.unique", (4,)),
    case("torch.div", (3, 4), (4,), rounding_mode="floor"),
    case("torch.Tensor.view", (3, 4), 12),
    case("torch.Tensor.permute", (3, 4), 1, 0),
    case("torch.Tensor.expand", (3, 1), 3, 4),
    case("torch.Tensor.unbind", (3, 4)),
    case("torch.Tensor.chunk", (4, 4), 2),
    case("torch.Tensor.float", (3, 4)),
    case("torch.Tensor.double", (3, 4)),
    case("torch.Tensor.long", (3, 4)),
    case("torch.Tensor.detach", (3, 4)),
    case("torch.nn.functional.linear", (3, 4), (5, 4), (5,)),
    case("torch.nn.functional.linear", (2, 3, 4), (5, 4)),
    case("torch.nn.functional.conv2d", (2, 3, 5, 5), (4, 3, 3, 3), (4,)),
    case("torch.nn.functional.layer_norm", (3, 4), lambda: (4,), (4,), (4,)),
    case("torch.nn.functional.batch_norm", (5, 4), (4,), (4,), (4,), (4,), training=True),
    case("torch.nn.functional.group_norm", (2, 4, 3), 2, (4,), (4,)),
    case("torch.nn.functional.embedding", lambda: torch.tensor([0, 2]), (4, 3)),
    case("torch.nn.functional.dropout", (3, 4)),
    case("torch.nn.functional.max_pool2d", (1, 2, 4, 4), 2),
    case("torch.nn.functional.avg_pool2d", (1, 2, 4, 4), 2),
    case("torch.nn.functional.adaptive_avg_pool2d", (1, 2, 4, 4), 2),
    case("torch.nn.functional.interpolate", (1, 2, 3, 3), scale_factor=2),
    case("torch.nn.functional.pad", (1, 2, 3, 3), lambda: (1, 1)),
    case("torch.nn.functional.softmax", (3, 4), 1),
    case("torch.nn.functional.log_softmax", (3, 4), 1),
    case("torch.nn.functional.scaled_dot_product_attention", (2, 2, 3, 4), (2, 2, 3, 4), (2, 2, 3, 4)),
    case("torch.nn.functional.cross_entropy", (3, 4), labels),
    case("torch.nn.functional.nll_loss", (3, 4), labels),
    case("torch.nn.functional.mse_loss", (3, 4), (3, 4)),
    case("torch.nn.functional.l1_loss", (3, 4), (3, 4)),
    case("torch.nn.functional.huber_loss", (3, 4), (3, 4)),
    case("torch.nn.functional.binary_cross_entropy", (3, 4), (3, 4)),
    case("torch.nn.functional.binary_cross_entropy_with_logits", (3, 4), (3, 4)),
    case("torch.nn.functional.soft_margin_loss", (3, 4), lambda: torch.ones(3, 4)),
    case("torch.nn.functional.cosine_similarity", (3, 4), (3, 4)),
    case("torch.nn.functional.one_hot", labels),
    case("torch.nn.functional.leaky_relu", (3, 4), inplace=True),
    case("torch.nn.functional.silu", (3, 4), inplace=True),
]  # fmt: skip


UNDERSTATED = {"torch.fft.fft"}
"""What saves its input in some calls only, which depends on numbers: the table then claims nothing."""


def function(spelling: str) -> Callable[..., Any]:
    value: Any = torch
    for part in spelling.split(".")[1:]:
        value = getattr(value, part)
    return value  # type: ignore[no-any-return]


def kind(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return "tensor"
    if isinstance(value, list) and value and isinstance(value[0], torch.Tensor):
        return "tensors"
    if isinstance(value, (list, tuple)):
        return "ints"
    return type(value).__name__


def leaves(value: Any) -> list[Any]:
    if isinstance(value, torch.Tensor):
        return [value]
    return [leaf for item in value for leaf in leaves(item)] if isinstance(value, (list, tuple)) else []


class Call:
    """One run of a case with some parameters requiring grad."""

    def __init__(self, op: Op, item: Case, requiring: tuple[str, ...]) -> None:
        spelling, make, kwargs = item
        args = make()
        self.values: dict[str, list[Any]] = {}
        self.sources: dict[str, list[Any]] = {}
        for index, value in enumerate(args):
            name = op.params[min(index, op.positional - 1)]
            if isinstance(value, torch.Tensor):
                args[index] = self._prepare(name, value, name in requiring)
            elif isinstance(value, list) and leaves(value):
                args[index] = [self._prepare(name, each, name in requiring) for each in value]
        torch.manual_seed(0)
        self.result = function(spelling)(*args, **kwargs)
        self.outputs = leaves(self.result)

    def _prepare(self, name: str, tensor: Any, requires: bool) -> Any:
        if requires:
            source = tensor.requires_grad_()
            self.sources.setdefault(name, []).append(source)
            tensor = source.clone()
        self.values.setdefault(name, []).append(tensor)
        return tensor

    def backward(self, outputs: list[Any] | None = None) -> str:
        wanted = [output for output in (outputs or self.outputs) if output.requires_grad]
        try:
            torch.autograd.backward(wanted, [torch.rand_like(output) + 0.5 for output in wanted])
        except (RuntimeError, NotImplementedError) as error:
            for text, word in (("modified by an inplace", "overwritten"), ("second time", "freed")):
                if text in str(error):
                    return word
            return "raises"
        return "ok"


def overload(item: Case) -> Op:
    spelling, make, kwargs = item
    op = find_op(spelling)
    assert op is not None
    if kwargs.get("inplace"):
        assert op.written is not None
        op = op.written
    return select(op, [kind(arg) for arg in make()], {name: kind(value) for name, value in kwargs.items()})


def requirements(op: Op, item: Case) -> list[tuple[str, ...]]:
    """Each floating parameter alone, and all of them."""
    values = Call(op, item, ()).values
    names = [name for name, given in values.items() if given[0].is_floating_point() and name not in op.refuses]
    names = [name for name in names if not name.startswith("running")]
    return [*((name,) for name in names), *([tuple(names)] if len(names) > 1 else [])]


def ids(item: Case) -> str:
    return item[0].removeprefix("torch.")


@pytest.mark.parametrize("item", CASES, ids=ids)
def test_results_require_grad_and_have_the_dtype_that_the_table_says(item: Case) -> None:
    op = overload(item)
    for requiring in requirements(op, item):
        call = Call(op, item, requiring)
        for index, result in enumerate(call.outputs):
            said = op.outputs[0 if op.sequence else index]
            reaches = bool(op.differentiable & set(requiring)) and said.gradient != "none"
            assert result.requires_grad == reaches, (requiring, index)
            kinds = {torch.int64: "int", torch.bool: "bool", torch.complex64: "complex"}
            if said.dtype in ("int", "bool", "complex"):
                assert kinds[result.dtype] == said.dtype
            else:
                assert result.is_floating_point()


@pytest.mark.parametrize("item", CASES, ids=ids)
def test_gradients_flow_vanish_or_raise_as_the_table_says(item: Case) -> None:
    op = overload(item)
    for requiring in requirements(op, item):
        count = len(Call(op, item, requiring).outputs)
        for index in range(count):
            call = Call(op, item, requiring)
            if not call.outputs[index].requires_grad:
                continue
            said = op.outputs[0 if op.sequence else index].gradient
            outcome = call.backward([call.outputs[index]])
            assert (outcome == "raises") == (said == "raises" or bool(op.raises_when & set(requiring)))
            if outcome == "ok" and said == "zero":
                sources = itertools.chain.from_iterable(call.sources.values())
                assert not any(source.grad is not None and source.grad.any() for source in sources)
            if outcome == "ok" and said == "flows" and not op.sequence:
                for name in set(requiring) & op.differentiable:
                    assert any(source.grad is not None for source in call.sources[name]), name


@pytest.mark.parametrize("item", CASES, ids=ids)
def test_a_write_to_what_is_saved_makes_backward_raise_and_no_other_does(item: Case) -> None:
    op = overload(item)
    for requiring in requirements(op, item):
        plain = Call(op, item, requiring)
        if not any(output.requires_grad for output in plain.outputs) or plain.backward() != "ok":
            continue
        labels = [name for name in plain.values if not (op.inplace and name == "input")]
        many = len(op.outputs) > 1
        labels += [f"result{index}" if many else "result" for index in range(len(op.outputs))]
        for label in labels:
            call = Call(op, item, requiring)
            target = call.values[label][0] if label in call.values else call.outputs[int(label[6:] or 0)]
            if op.view in ("multi", "expand", "maybe") and label.startswith("result"):
                continue
            with torch.no_grad():
                target.logical_and_(torch.ones(())) if target.dtype == torch.bool else target.add_(0)
            said = any(
                saved.what == label and (not saved.gates or set(saved.gates) & set(requiring)) for saved in op.saved
            )
            seen = call.backward() == "overwritten"
            assert seen == said or (seen and item[0] in UNDERSTATED), (requiring, label)


@pytest.mark.parametrize("item", CASES, ids=ids)
def test_a_second_backward_raises_exactly_if_something_is_freed(item: Case) -> None:
    op = overload(item)
    for requiring in requirements(op, item):
        call = Call(op, item, requiring)
        if any(output.requires_grad for output in call.outputs) and call.backward() == "ok":
            assert (call.backward() == "freed") == bool(op.frees_when & set(requiring)), requiring


@pytest.mark.parametrize("item", [item for item in CASES if "__" not in item[0]], ids=ids)
def test_views_share_memory_and_copies_do_not(item: Case) -> None:
    op = overload(item)
    if op.inplace:
        pytest.skip("writes to its input")
    call = Call(op, item, ())
    if not call.outputs:
        pytest.skip("no tensor")
    addresses = {value.untyped_storage().data_ptr() for given in call.values.values() for value in given}
    shares = call.outputs[0].untyped_storage().data_ptr() in addresses
    if op.view != "maybe":
        assert shares == (op.view != "no")


@pytest.mark.parametrize("name", ["unbind", "split", "chunk", "hsplit", "tensor_split"])
def test_writing_to_one_of_several_views_raises_if_the_table_says_so(name: str) -> None:
    tensor = rand(4, 4).requires_grad_().clone()
    arguments = [] if name == "unbind" else [2]
    op = find_op(f"torch.Tensor.{name}")
    assert op is not None
    assert op.sequence
    parts = getattr(tensor, name)(*arguments)
    if select(op, ["tensor", *(kind(argument) for argument in arguments)], {}).view == "view":
        parts[0].add_(1)
    else:
        with pytest.raises(RuntimeError, match="multiple views"):
            parts[0].add_(1)


def test_parameters_that_must_not_require_grad_are_refused() -> None:
    op = find_op("torch.nn.functional.soft_margin_loss")
    assert op is not None
    assert op.refuses == {"target"}
    with pytest.raises(RuntimeError, match="not differentiable with respect to argument 'target'"):
        torch.nn.functional.soft_margin_loss(rand(3), rand(3).requires_grad_())
