"""Operations in place on lists of tensors: `torch._foreach_mul_(averages, 0.99)`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradls.flow.arguments import Call
from gradls.flow.models.registry import function
from gradls.flow.values import NONE, Sequence, Tensor, Value

if TYPE_CHECKING:
    from gradls.flow.run import Run


@function(
    "torch._foreach_add_", "torch._foreach_sub_", "torch._foreach_mul_", "torch._foreach_div_", "torch._foreach_lerp_",
    "torch._foreach_copy_", "torch._foreach_zero_", "torch._foreach_neg_", "torch._foreach_addcmul_",
    "torch._foreach_addcdiv_",
)  # fmt: skip
def each_in_place(run: Run, path: str, call: Call) -> Value:
    """The method of the same name, of each tensor with what stands at its place in the other lists."""
    from gradls.flow.escapes import escape
    from gradls.flow.operations import tensor_method

    tensors = call.get(0, "self")
    lists = (tensors, *call.args[1:])
    if not isinstance(tensors, Sequence) or any(isinstance(one, Sequence) and not one.whole for one in lists):
        for value in call.values:
            escape(run, value)
        return run.unknown("call", path)
    name = path.removeprefix("torch._foreach_")
    for number, tensor in enumerate(tensors.items):
        if isinstance(tensor, Tensor):
            given = [_at(one, number) for one in call.args[1:]]
            kwargs = {key: value for key, value in call.kwargs.items() if key != "self"}
            tensor_method(run, tensor, name, Call(call.node, given, kwargs, call.unsure))
    return NONE


def _at(value: Value, number: int) -> Value:
    return value.items[number] if isinstance(value, Sequence) and number < len(value.items) else value
