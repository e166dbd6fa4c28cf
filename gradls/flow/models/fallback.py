"""Calls of library functions and classes without a model of their own."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from gradls.autograd.ops import find_op
from gradls.flow import hierarchy
from gradls.flow.arguments import Call
from gradls.flow.contents import tensors_in
from gradls.flow.graph import Edge
from gradls.flow.join import options
from gradls.flow.models.registry import find_method, is_beside_models
from gradls.flow.names import Question
from gradls.flow.operations import apply, cut_node, unknown_operation
from gradls.flow.values import Host, Instance, Lib, Mapping, Tensor, Value, host

if TYPE_CHECKING:
    from gradls.flow.run import Run


_KINDS = {
    "float": "acos acosh asin asinh atan atan2 atanh cbrt copysign cos cosh degrees dist erf erfc exp exp2 expm1 fabs "
    "fmod fsum gamma hypot ldexp lgamma log log10 log1p log2 pow radians sin sinh sqrt tan tanh",
    "int": "ceil comb factorial floor gcd isqrt lcm perm trunc",
    "bool": "isclose isfinite isinf isnan",
}
_NUMBERS = {name: kind for kind, names in _KINDS.items() for name in names.split()}
"""What the functions of `math` give, whatever they are given."""
_GROWING = ("comb", "factorial", "perm")
"""Those of which the result may have as many digits as it likes."""


def _number(name: str, kind: str, call: Call) -> Value:
    """What a function of `math` gives."""
    given = [value.value for value in call.args if isinstance(value, Host) and value.known]
    most = 100 if name in _GROWING else 1e6
    small = all(isinstance(number, (int, float)) and abs(number) < most for number in given)
    if len(given) == len(call.args) and small and not call.kwargs and not call.unsure and kind != "bool":
        try:
            return host(getattr(math, name)(*given))
        except (ArithmeticError, ValueError, TypeError, AttributeError):
            pass
    nodes = [value.node for value in call.values if isinstance(value, Host) and value.node is not None]
    return Host(kind, node=nodes[0] if nodes else None)


def call(run: Run, function: Lib, call: Call) -> Value:
    """An operation of torch, a module of torch.nn, or something unknown."""
    path = function.path
    if is_beside_models(path):
        from gradls.flow.calls import call_unknown

        module, _, name = path.rpartition(".")
        return call_unknown(run, run.unknown("import", name, Question(module, name, False)), call)
    if path.startswith("torch."):
        if find_op(path) is not None:
            return apply(run, path, call)
        made = _made(run, path, call) if path.rpartition(".")[2][:1].isupper() else None
        if made is not None:
            return made
    if call.args and isinstance(call.args[0], Instance) and hierarchy.is_module_path(path.rpartition(".")[0]):
        # `nn.Module.__init__(self)`: a method looked up on its class.
        method = find_method(call.args[0], path)
        if method is not None:
            from gradls.flow.calls import Call as MethodCall

            return method(run, call.args[0], MethodCall(call.node, call.args[1:], call.kwargs, call.unsure))
    if path.startswith("torch.Tensor.") and call.args:
        from gradls.flow.calls import call_method

        name = path.rpartition(".")[2]
        return call_method(run, call.args[0], name, Call(call.node, call.args[1:], call.kwargs, call.unsure))
    if path.startswith("numpy.") and not path.startswith("numpy.random."):
        from gradls.flow.models.numpy import reader

        return reader(run, path, call)
    number = _of_math(run, path.removeprefix("math."), call) if path.startswith("math.") else None
    if number is not None:
        return number
    if path.startswith(("math.", "random.", "time.", "os.", "sys.")):
        return unknown_operation(run, path, call.values, call.node)
    from gradls.flow.calls import escape

    for value in call.values:
        escape(run, value)
        if any(isinstance(option, Mapping) for option in options(value)):
            run.event("mapping-used", call.node, value)
    if path in ("torch.device", "torch.Generator", "torch.Size") or path.startswith(("torch.cuda.", "torch.backends.")):
        return run.unknown("call", path)
    if path.rpartition(".")[2][:1].isupper() and path.startswith(("torch.utils.", "torch.nn.parallel")):
        instance = Instance(run.state, function, run.at(call.node))
        instance.open = True
        return instance
    return unknown_operation(run, path, call.values, call.node)


def _made(run: Run, path: str, call: Call) -> Value | None:
    """An object of a class of torch, of those of which there are many with one model."""
    from gradls.flow.models.distributions import create_distribution
    from gradls.flow.models.modules import create
    from gradls.flow.models.optimizers import create_optimizer, create_scheduler

    if hierarchy.is_module_path(path):
        return create(run, path, call)
    if path.startswith("torch.optim.lr_scheduler."):
        return create_scheduler(run, path, call)
    if path.startswith("torch.optim."):
        return create_optimizer(run, path, call)
    if path.startswith("torch.distributions."):
        return create_distribution(run, path, call)
    return None


def _of_math(run: Run, name: str, call: Call) -> Value | None:
    """What a function of `math` makes of numbers, and of tensors that it reads; None of unknown values."""
    kind = _NUMBERS.get(name)
    for value in call.args:
        if isinstance(value, Tensor):
            run.event("to-number", call.node, value, value.node, name="math")
            if kind is not None:
                edge = Edge(value.node, value.requires_grad)
                return Host(kind, node=cut_node(run, "number", f"math.{name}", [edge], run.at(call.node)))
    parts = [part for value in call.values for part in tensors_in(value)]
    if kind is not None and not any(isinstance(part, Tensor) for part in parts):
        return _number(name, kind, call)
    return None
