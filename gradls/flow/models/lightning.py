"""Methods of LightningModules: https://lightning.ai/docs/pytorch/stable/common/lightning_module.html"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradls.flow.arguments import Call
from gradls.flow.backward import run_backward
from gradls.flow.models.module_methods import requires_grad_, train
from gradls.flow.models.optimizers import parameters_of
from gradls.flow.models.registry import METHODS, Model
from gradls.flow.models.training import clip
from gradls.flow.trainers import CONFIGURED, Configured
from gradls.flow.values import FALSE, NONE, TRUE, Host, Instance, Sequence, Tensor, Value

if TYPE_CHECKING:
    from gradls.flow.run import Run

_TOGGLED = ("toggled",)
"""The field of a LightningModule that holds the parameters which `toggle_optimizer` has frozen."""


def optimizers(run: Run, receiver: Instance, call: Call) -> Value:
    """What `configure_optimizers` made: the optimizer, or a list of several."""
    made = receiver.fields.get(CONFIGURED)
    return _one_or_all(run, made.optimizers) if isinstance(made, Configured) else run.unknown("call", "optimizers")


def schedulers(run: Run, receiver: Instance, call: Call) -> Value:
    """The schedulers that `configure_optimizers` made, likewise; None if there are none."""
    made = receiver.fields.get(CONFIGURED)
    if not isinstance(made, Configured):
        return run.unknown("call", "lr_schedulers")
    return _one_or_all(run, made.schedulers) if made.schedulers else NONE


def _one_or_all(run: Run, made: list[Instance]) -> Value:
    return made[0] if len(made) == 1 else Sequence(run.state, "list", tuple(made))


def manual_backward(run: Run, receiver: Instance, call: Call) -> Value:
    """`loss.backward()`, with what else it is given."""
    given = call.get(0, "loss")
    loss = given if given is not None else run.unknown("argument", "loss")
    further = {key: value for key, value in call.kwargs.items() if key not in ("loss", "optimizer")}
    run_backward(run, [loss], Call(call.node, [], further), gradient=further.get("gradient"), method=True)
    return NONE


def clip_gradients(run: Run, receiver: Instance, call: Call) -> Value:
    """Clips the gradients of an optimizer's parameters."""
    optimizer = call.get(0, "optimizer")
    held = parameters_of(optimizer) if isinstance(optimizer, Instance) else ()
    rest = None if held else run.unknown("parameter")
    given = Sequence(run.state, "list", held, rest)
    limit = call.get(1, "gradient_clip_val") or Host("float")
    return clip(run, "torch.nn.utils.clip_grad_norm_", Call(call.node, [given, limit]))


def toggle_optimizer(run: Run, receiver: Instance, call: Call) -> Value:
    """Freezes the parameters that other optimizers have, and this one has not."""
    optimizer, made = call.get(0, "optimizer"), receiver.fields.get(CONFIGURED)
    if not isinstance(made, Configured) or not isinstance(optimizer, Instance):
        return NONE
    own = set(parameters_of(optimizer))
    others = [tensor for other in made.optimizers for tensor in parameters_of(other) if tensor not in own]
    toggled = tuple(tensor for tensor in others if tensor.requires_grad is True)
    for tensor in toggled:
        run.state.set(tensor.fields, "requires_grad", False)
    run.state.set(receiver.fields, _TOGGLED, toggled)
    return NONE


def untoggle_optimizer(run: Run, receiver: Instance, call: Call) -> Value:
    """Thaws what `toggle_optimizer` has frozen."""
    toggled: tuple[Tensor, ...] = receiver.fields.get(_TOGGLED, ())
    for tensor in toggled:
        run.state.set(tensor.fields, "requires_grad", True)
    run.state.set(receiver.fields, _TOGGLED, ())
    return NONE


def freeze(run: Run, receiver: Instance, call: Call) -> Value:
    """`requires_grad_(False)` and `eval()`."""
    requires_grad_(run, receiver, Call(call.node, [FALSE]))
    train(run, receiver, Call(call.node, [FALSE]))
    return receiver


def unfreeze(run: Run, receiver: Instance, call: Call) -> Value:
    """`requires_grad_(True)` and `train()`."""
    requires_grad_(run, receiver, Call(call.node, [TRUE]))
    train(run, receiver, Call(call.node, [TRUE]))
    return receiver


def says(run: Run, receiver: Instance, call: Call) -> Value:
    """Changes nothing that has to do with gradients."""
    return NONE


_MODELS: dict[str, Model] = {
    "optimizers": optimizers,
    "lr_schedulers": schedulers,
    "manual_backward": manual_backward,
    "clip_gradients": clip_gradients,
    "toggle_optimizer": toggle_optimizer,
    "untoggle_optimizer": untoggle_optimizer,
    "freeze": freeze,
    "unfreeze": unfreeze,
    "log": says,
    "log_dict": says,
    "print": says,
}
_PATHS = (
    "lightning.LightningModule",
    "lightning.pytorch.LightningModule",
    "lightning.pytorch.core.LightningModule",
    "lightning.pytorch.core.module.LightningModule",
    "pytorch_lightning.LightningModule",
    "pytorch_lightning.core.LightningModule",
    "pytorch_lightning.core.lightning.LightningModule",
    "pytorch_lightning.core.module.LightningModule",
)

for _path in _PATHS:
    for _name, _model in _MODELS.items():
        METHODS[_path, _name] = _model
