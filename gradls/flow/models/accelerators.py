"""Accelerate, Fabric and Apex: what they prepare for a device, or for several processes, is used as before."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from gradls.flow.arguments import Call
from gradls.flow.backward import run_backward
from gradls.flow.models.modules import parameters_of
from gradls.flow.models.registry import function, method
from gradls.flow.models.training import clip
from gradls.flow.operations import derived_tensor
from gradls.flow.values import NONE, Host, Instance, Mapping, Sequence, Tensor, Value, is_none

if TYPE_CHECKING:
    from gradls.flow.run import Run

ACCELERATOR = "accelerate.Accelerator"
FABRIC = "lightning.Fabric"
STEPS = "gradient_accumulation_steps"
_BLOCK = "contextlib.nullcontext"


@function(ACCELERATOR, "accelerate.accelerator.Accelerator")
def accelerator(run: Run, path: str, call: Call) -> Value:
    made = Instance(run.state, run.lib(ACCELERATOR), run.at(call.node))
    made.data[STEPS] = run.unknown("argument", STEPS) if call.unsure else call.kwargs.get(STEPS)
    return made


@function(FABRIC, "lightning.fabric.Fabric", "lightning.fabric.fabric.Fabric", "lightning_fabric.Fabric")
def fabric(run: Run, path: str, call: Call) -> Value:
    return Instance(run.state, run.lib(FABRIC), run.at(call.node))


@method(ACCELERATOR, "prepare", "prepare_model", "prepare_optimizer", "prepare_scheduler", "prepare_data_loader")
@method(FABRIC, "setup", "setup_module", "setup_optimizers", "setup_dataloaders")
def prepare(run: Run, receiver: Instance, call: Call) -> Value:
    """One thing, or a tuple of several. They come back wrapped: who calls a module calls that which was given, perhaps
    under autocast, or with parameters of another precision."""
    if call.unsure or not call.args:
        return run.unknown("call", "prepare")
    _forget_precision(run, call.args)
    return call.args[0] if len(call.args) == 1 else Sequence(run.state, "tuple", tuple(call.args))


def _forget_precision(run: Run, prepared: Iterable[Value]) -> None:
    for value in prepared:
        for _, parameter in parameters_of(value)[0] if isinstance(value, Instance) else ():
            run.state.set(parameter.fields, "exact", None)


@function("apex.amp.initialize")
def initialize(run: Run, path: str, call: Call) -> Value:
    """The models, and the optimizers if it is given any: https://nvidia.github.io/apex/amp.html"""
    models, optimizers = call.get(0, "models"), call.get(1, "optimizers")
    if call.unsure or models is None:
        return run.unknown("call", "initialize")
    _forget_precision(run, models.elements if isinstance(models, Sequence) else (models,))
    return models if optimizers is None or is_none(optimizers) else Sequence(run.state, "tuple", (models, optimizers))


@function("apex.amp.scale_loss")
def scale_loss(run: Run, path: str, call: Call) -> Value:
    """A block with a loss that is larger; the gradients are divided by as much when it is left."""
    loss = call.get(0, "loss")
    if isinstance(loss, Tensor):
        scaled: Value = derived_tensor(run, "scale", [loss], call.node, shape=loss.shape, saves=True)
    else:
        scaled = loss if loss is not None else run.unknown("call", "scale_loss")
    return _block(run, call, scaled)


@function("apex.parallel.DistributedDataParallel", "apex.parallel.convert_syncbn_model")
def parallel(run: Run, path: str, call: Call) -> Value:
    """A module that calls the one that it is given."""
    return call.get(0, "module") or run.unknown("call", path)


@method(ACCELERATOR, "unwrap_model")
def unwrap(run: Run, receiver: Instance, call: Call) -> Value:
    return call.get(0, "model") or run.unknown("call", "unwrap_model")


@method(ACCELERATOR, "backward")
@method(FABRIC, "backward")
def backward(run: Run, receiver: Instance, call: Call) -> Value:
    """`loss.backward()` of the loss, which may be scaled and divided before."""
    loss = call.get(0, "loss") or call.get(0, "tensor")
    given = {key: value for key, value in call.kwargs.items() if key not in ("loss", "tensor", "model")}
    if isinstance(loss, (Host, Sequence, Mapping)):
        run.event("backward-of-no-tensor", call.node, loss, given=True)
        return NONE
    roots = [loss if loss is not None else run.unknown("argument", "loss")]
    run_backward(run, roots, Call(call.node, [], given), gradient=None, method=False)
    return NONE


@method(ACCELERATOR, "clip_grad_norm_", "clip_grad_value_")
def clip_gradients(run: Run, receiver: Instance, call: Call) -> Value:
    """Unscales them first, if they are scaled."""
    return clip(run, "torch.nn.utils.clip_grad_norm_", call)


@method(ACCELERATOR, "accumulate", "no_sync", "main_process_first", "local_main_process_first", "profile")
@method(FABRIC, "no_backward_sync", "rank_zero_first")
def block(run: Run, receiver: Instance, call: Call) -> Value:
    """A block that leaves the grad mode alone."""
    return _block(run, call, NONE)


def _block(run: Run, call: Call, entered: Value) -> Value:
    made = Instance(run.state, run.lib(_BLOCK), run.at(call.node))
    made.data["enters"] = entered
    return made


@method(ACCELERATOR, "autocast")
@method(FABRIC, "autocast")
def autocast(run: Run, receiver: Instance, call: Call) -> Value:
    """Changes dtypes if the settings say so."""
    return Instance(run.state, run.lib("torch.autocast"), run.at(call.node))


@method(ACCELERATOR, "print", "log", "wait_for_everyone", "end_training", "save_state", "init_trackers")
@method(FABRIC, "print", "log", "log_dict", "barrier", "launch", "seed_everything")
def says(run: Run, receiver: Instance, call: Call) -> Value:
    """Changes nothing that has to do with gradients."""
    return NONE


@method(ACCELERATOR, "gather", "gather_for_metrics", "reduce", "pad_across_processes")
@method(FABRIC, "all_gather", "all_reduce")
def gather(run: Run, receiver: Instance, call: Call) -> Value:
    """The tensor itself, or those of all processes, without their graph."""
    return run.unknown("call", "gather")
