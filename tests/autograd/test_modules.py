"""The tables of modules, losses, optimizers and distributions against PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from gradls.autograd.distributions import find_distribution  # noqa: E402
from gradls.autograd.losses import find_loss  # noqa: E402
from gradls.autograd.modules import find_module, recurrent_parameters, recurrent_saves  # noqa: E402
from gradls.autograd.ops import find_op  # noqa: E402
from gradls.autograd.optimizers import find_optimizer, find_scheduler, is_scheduler  # noqa: E402

MODULES: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "Linear": (lambda: nn.Linear(4, 3), (2, 4)),
    "Conv2d": (lambda: nn.Conv2d(2, 3, 3), (1, 2, 5, 5)),
    "BatchNorm1d": (lambda: nn.BatchNorm1d(4), (3, 4)),
    "LayerNorm": (lambda: nn.LayerNorm(4), (2, 4)),
    "GroupNorm": (lambda: nn.GroupNorm(2, 4), (2, 4, 3)),
    "PReLU": (lambda: nn.PReLU(), (2, 4)),
    "ReLU": (lambda: nn.ReLU(), (2, 4)),
    "LeakyReLU": (lambda: nn.LeakyReLU(), (2, 4)),
    "Sigmoid": (lambda: nn.Sigmoid(), (2, 4)),
    "GELU": (lambda: nn.GELU(), (2, 4)),
    "Softmax": (lambda: nn.Softmax(-1), (2, 4)),
    "Dropout": (lambda: nn.Dropout(), (2, 4)),
    "MaxPool2d": (lambda: nn.MaxPool2d(2), (1, 2, 4, 4)),
    "Flatten": (lambda: nn.Flatten(), (2, 2, 2)),
    "Identity": (lambda: nn.Identity(), (2, 4)),
    "RNN": (lambda: nn.RNN(4, 3), (5, 2, 4)),
    "LSTM": (lambda: nn.LSTM(4, 3), (5, 2, 4)),
    "GRUCell": (lambda: nn.GRUCell(4, 3), (2, 4)),
    "TransformerEncoderLayer": (lambda: nn.TransformerEncoderLayer(4, 2, 8), (3, 2, 4)),
}


def overwritten(name: str, grad: bool, pick: Callable[[Any, Any, Any], Any]) -> bool:
    """Whether backward raises after a write to what `pick` picks of module, input and output."""
    torch.manual_seed(0)
    make, shape = MODULES[name]
    module, given = make(), torch.rand(*shape)
    if grad:
        given = given.requires_grad_().clone()
    output = module(given)
    first = output[0] if isinstance(output, tuple) else output
    with torch.no_grad():
        pick(module, given, first).add_(0)
    try:
        first.sum().backward()
    except RuntimeError as error:
        if "modified by an inplace operation" in str(error):
            return True
        if "does not require grad" not in str(error):
            raise
    return False


@pytest.mark.parametrize("name", MODULES)
def test_modules_save_what_the_table_says(name: str) -> None:
    spec = find_module(f"torch.nn.{name}")
    assert spec is not None
    assert overwritten(name, True, lambda module, given, output: output) == spec.saves_output
    if name != "Identity":
        assert overwritten(name, True, lambda module, given, output: given) == spec.saves_input
    for grad, said in ((False, spec.saves_parameters), (True, spec.saves_parameters_with_input_grad)):
        for parameter, _ in spec.parameters:
            seen = overwritten(name, grad, lambda module, given, output, p=parameter: module.get_parameter(p))
            assert seen == (parameter in said), (parameter, grad)


@pytest.mark.parametrize("name", MODULES)
def test_modules_hold_what_the_table_says(name: str) -> None:
    spec = find_module(f"torch.nn.{name}")
    assert spec is not None
    module = MODULES[name][0]()
    assert [parameter for parameter, _ in spec.parameters] == [parameter for parameter, _ in module.named_parameters()]
    assert list(spec.buffers) == [buffer for buffer, _ in module.named_buffers()]
    assert list(spec.children) == [child for child, _ in module.named_children()]


def test_every_module_of_torch_nn_is_known() -> None:
    for name in dir(nn):
        cls = getattr(nn, name)
        if isinstance(cls, type) and issubclass(cls, nn.Module):
            spec = find_module(f"torch.nn.{name}")
            assert spec is not None, name
            assert not spec.function or find_op(spec.function) is not None, name


def test_parameters_depend_on_constructor_arguments() -> None:
    linear, norm = find_module("torch.nn.Linear"), find_module("torch.nn.LayerNorm")
    assert linear is not None
    assert norm is not None
    assert linear.parameters == (("weight", ""), ("bias", "bias"))
    assert norm.parameters == (("weight", "elementwise_affine"), ("bias", "elementwise_affine,bias"))
    assert linear.init[:3] == ("in_features", "out_features", "bias")
    assert linear.defaults["bias"] is True
    assert find_module("torch.nn.Nothing") is None


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("projection", [0, 2])
def test_recurrent_parameters(layers: int, bidirectional: bool, projection: int) -> None:
    made = nn.LSTM(4, 3, num_layers=layers, bidirectional=bidirectional, proj_size=projection)
    names = recurrent_parameters(layers, bidirectional, projection=bool(projection))
    assert set(names) == {name for name, _ in made.named_parameters()}


SHAPES = [
    (kind, layers, bidirectional, bias, projection)
    for kind in (nn.RNN, nn.GRU, nn.LSTM)
    for layers in (1, 3)
    for bidirectional in (False, True)
    for bias in (False, True)
    for projection in ((0, 2) if kind is nn.LSTM else (0,))
]


@pytest.mark.parametrize("with_input_grad", [False, True])
@pytest.mark.parametrize(("kind", "layers", "bidirectional", "bias", "projection"), SHAPES)
@pytest.mark.filterwarnings("ignore")
def test_what_recurrent_layers_keep(
    kind: type, layers: int, bidirectional: bool, bias: bool, projection: int, with_input_grad: bool
) -> None:
    options = {"proj_size": projection} if projection else {}
    made = kind(3, 4, num_layers=layers, bidirectional=bidirectional, bias=bias, **options)
    names = [name for name, _ in made.named_parameters()]
    assert set(names) == set(recurrent_parameters(layers, bidirectional, bias, bool(projection)))
    spec = find_module(f"torch.nn.{kind.__name__}")
    assert spec is not None
    saved = set()
    for name, parameter in made.named_parameters():
        result = made(torch.randn(5, 2, 3, requires_grad=with_input_grad))[0]
        with torch.no_grad():
            parameter.add_(0)
        try:
            result.sum().backward()
        except RuntimeError:
            saved.add(name)
    assert recurrent_saves(spec, names, with_input_grad) == saved


def test_inplace_modules() -> None:
    leaky, silu, gelu = (find_module(f"torch.nn.{name}") for name in ("LeakyReLU", "SiLU", "GELU"))
    assert leaky is not None
    assert silu is not None
    assert gelu is not None
    assert leaky.inplace_saves_output is True
    assert silu.inplace_saves_output is False
    assert gelu.inplace_saves_output is None


@pytest.mark.parametrize("name", ["torch.nn.Dropout", "torch.nn.Identity"])
def test_modules_that_return_their_input_in_eval_mode(name: str) -> None:
    spec = find_module(name)
    assert spec is not None
    assert spec.eval_returns_input
    given = torch.rand(3)
    assert getattr(nn, name.rpartition(".")[2])().eval()(given) is given


def test_losses() -> None:
    entropy = find_loss("torch.nn.CrossEntropyLoss")
    assert entropy == find_loss("torch.nn.functional.cross_entropy")
    assert entropy is not None
    assert (entropy.expects, entropy.target_dtype, entropy.swapped) == ("logits", "int or probabilities", "raises")
    triplet = find_loss("torch.nn.TripletMarginLoss")
    assert triplet is not None
    assert triplet.target == ""
    assert find_loss("torch.nn.Linear") is None


def test_every_criterion_of_torch_nn_is_known() -> None:
    for name in dir(nn):
        # The adaptive one is a layer too, and gives more than a loss.
        if name.endswith("Loss") and name != "AdaptiveLogSoftmaxWithLoss":
            assert find_loss(f"torch.nn.{name}") is not None, name


@pytest.mark.parametrize("name", ["MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss", "KLDivLoss", "BCEWithLogitsLoss"])
def test_swapping_prediction_and_target(name: str) -> None:
    spec = find_loss(f"torch.nn.{name}")
    assert spec is not None
    criterion = getattr(nn, name)()
    first, second = torch.tensor([0.2, 0.7]), torch.tensor([0.6, 0.4])
    same = torch.allclose(criterion(first, second), criterion(second, first))
    assert same == spec.symmetric == (spec.swapped == "same value")


def test_optimizers() -> None:
    for name in dir(torch.optim):
        cls = getattr(torch.optim, name)
        if isinstance(cls, type) and issubclass(cls, torch.optim.Optimizer) and cls is not torch.optim.Optimizer:
            assert find_optimizer(f"torch.optim.{name}") is not None, name
    lbfgs, sparse, adam = (find_optimizer(f"torch.optim.{name}") for name in ("LBFGS", "SparseAdam", "Adam"))
    assert lbfgs is not None
    assert sparse is not None
    assert adam is not None
    assert lbfgs.needs_closure
    assert lbfgs.closure_calls == "many"
    assert not lbfgs.groups
    assert sparse.sparse == "needed"
    assert adam.sparse == "raises"
    assert adam.init[:2] == ("params", "lr")
    with pytest.raises(TypeError, match="closure"):
        torch.optim.LBFGS([torch.zeros(2, requires_grad=True)]).step()


def test_schedulers() -> None:
    plateau = find_scheduler("torch.optim.lr_scheduler.ReduceLROnPlateau")
    assert plateau is not None
    assert plateau.needs_metric
    step = find_scheduler("torch.optim.lr_scheduler.StepLR")
    assert step is not None
    assert not step.needs_metric
    assert is_scheduler("torch.optim.lr_scheduler.OneCycleLR")
    assert not is_scheduler("torch.optim.Adam")


@pytest.mark.parametrize(("name", "arguments"), [("Normal", 2), ("Gumbel", 2), ("Bernoulli", 1), ("Categorical", 1)])
def test_distributions(name: str, arguments: int) -> None:
    spec = find_distribution(f"torch.distributions.{name}")
    assert spec is not None
    made = getattr(torch.distributions, name)(*(torch.rand(3, requires_grad=True) for _ in range(arguments)))
    assert not made.sample().requires_grad
    if spec.has_rsample == "yes":
        assert made.rsample().requires_grad
    else:
        with pytest.raises(NotImplementedError):
            made.rsample()
