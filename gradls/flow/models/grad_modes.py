"""torch.no_grad and its relatives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradls.flow import contexts
from gradls.flow.arguments import Call
from gradls.flow.models.registry import function, method
from gradls.flow.values import FALSE, NONE, TRUE, Function, Host, Instance, Value

if TYPE_CHECKING:
    from gradls.flow.run import Run


@function(*contexts.MODES)
def make_context(run: Run, path: str, call: Call) -> Value:
    """`torch.no_grad()`: a context manager and decorator; called with a function, the decorated function."""
    target = call.get(0)
    if isinstance(target, Function):
        contexts.check_bare(run, path, call.node)
        target.mode = (*contexts.MODES[path], run.at(call.node))
        return target
    instance = Instance(run.state, run.lib(path), run.at(call.node))
    instance.data["mode"] = contexts.wanted_mode(run, path, call)
    return instance


@method("torch.no_grad", "__call__")
@method("torch.enable_grad", "__call__")
@method("torch.inference_mode", "__call__")
def decorate(run: Run, receiver: Instance, call: Call) -> Value:
    target = call.get(0)
    if isinstance(target, Function):
        target.mode = (*receiver.data["mode"], run.at(call.node))
        return target
    return run.unknown("decorated")


@function("torch.set_grad_enabled")
def set_grad_enabled(run: Run, path: str, call: Call) -> Value:
    """Works at once, and as a context manager sets back what was before."""
    before = (run.mode["grad"], run.mode["inference"], run.mode["at"], run.isolated)
    grad, inference = contexts.wanted_mode(run, path, call)
    contexts.set_mode(run, grad, inference, run.at(call.node))
    instance = Instance(run.state, run.lib(path), run.at(call.node))
    instance.data["mode"] = (grad, inference)
    instance.data["before"] = before
    run.event("grad-mode-set", call.node, instance, grad=grad)
    return instance


@function("torch.is_grad_enabled")
def is_grad_enabled(run: Run, path: str, call: Call) -> Value:
    return {True: TRUE, False: FALSE}.get(run.mode["grad"], Host("bool"))


@function("torch.is_inference_mode_enabled")
def is_inference_mode_enabled(run: Run, path: str, call: Call) -> Value:
    return TRUE if run.mode["inference"] else FALSE


@function("torch.set_default_dtype", "torch.set_default_tensor_type")
def set_default_dtype(run: Run, path: str, call: Call) -> Value:
    run.state.set(run.outside, "dtype", None)
    return NONE


@function("torch.manual_seed", "torch.set_printoptions", "torch.use_deterministic_algorithms")
def nothing(run: Run, path: str, call: Call) -> Value:
    return NONE


@function("torch.autograd.set_detect_anomaly", "torch.autograd.detect_anomaly")
def detect_anomaly(run: Run, path: str, call: Call) -> Value:
    run.event("anomaly", call.node, path=path, call=call)
    return run.unknown("context")


@function("torch.autocast", "torch.amp.autocast", "torch.cuda.amp.autocast", "torch.amp.autocast_mode.autocast")
def autocast(run: Run, path: str, call: Call) -> Value:
    """Changes dtypes, not gradients."""
    instance = Instance(run.state, run.lib("torch.autocast"), run.at(call.node))
    instance.data["enabled"] = call.known(-1, "enabled", default=True)
    return instance


@function("contextlib.nullcontext")
def nullcontext(run: Run, path: str, call: Call) -> Value:
    """Changes nothing."""
    instance = Instance(run.state, run.lib(path), run.at(call.node))
    instance.data["enters"] = call.get(0, "enter_result") or NONE
    return instance
