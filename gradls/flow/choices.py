"""Calls of one of several values, by branch."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from gradls.flow import truth
from gradls.flow.arguments import Call
from gradls.flow.hierarchy import lacks_forward
from gradls.flow.paths import Round
from gradls.flow.run import Arm
from gradls.flow.values import Bound, Choice, Class, Function, Host, Instance, Mapping, Sequence, Unknown, Value

if TYPE_CHECKING:
    from gradls.flow.run import Run


def call_choice(run: Run, function: Choice, call: Call) -> Value:
    """Call one of several values, by branch: each of them that may come here."""
    from gradls.flow.calls import call_value

    results: list[Value] = []
    callable_options = [option for option in function.options if not isinstance(option, Host)]
    # What has no such method is taken not to come here, as long as there is something that has it.
    callable_options = [option for option in callable_options if not _lacks(option)] or callable_options
    # Nor does what was made only if what is asked on the way here was answered otherwise.
    callable_options = [option for option in callable_options if not _made_otherwise(run, option)] or callable_options
    if len(callable_options) == 1:
        return call_value(run, callable_options[0], call)
    # What the program itself has beside a layer of the library may be all that is given something else.
    own = [option for option in callable_options if _is_own(option)]
    # Which object it is stays the same from one method of it to the next.
    arms: list[Arm] = [
        (
            function.of or function,
            option.receiver if isinstance(option, Bound) else option,
            partial(_call_option, run, option, call, results, len(own) > 0),
        )
        for option in callable_options
    ]
    if not arms or not run.fork(arms):
        return run.unknown("call")
    return run.join.values(results)


def _made_otherwise(run: Run, option: Value) -> bool:
    """Was an object made on a branch on which something was true that is false here, or the other way round?"""
    made = option.receiver if isinstance(option, Bound) else option
    path = made.made if isinstance(made, Instance) and run.path is not None else None
    while path is not None:
        path, subject, decision = path
        known = truth.truth(run, subject) if isinstance(subject, Unknown) else None
        if known is not None and known is not decision:
            return True
    return False


def _lacks(option: Value) -> bool:
    """Is it the `backward` of something that has no such method, or a module without `forward`?"""
    return lacks_forward(option) or (
        isinstance(option, Bound)
        and option.name == "backward"
        and option.function is None
        and isinstance(option.receiver, (Host, Sequence, Mapping))
    )


def _is_own(option: Value) -> bool:
    """Is it an object of a class of the program, or a function of it?"""
    return isinstance(option, Function) or (isinstance(option, Instance) and isinstance(option.cls, Class))


def _call_option(run: Run, option: Value, call: Call, results: list[Value], beside_own: bool) -> bool:
    from gradls.flow.calls import call_value

    doubted = (beside_own and not _is_own(option)) or _is_doubtful(run, option)
    run.caught += doubted
    try:
        results.append(call_value(run, option, call))
    finally:
        run.caught -= doubted
    return True


def _is_doubtful(run: Run, option: Value) -> bool:
    """Is it of a library, made on a branch, and has something else been asked on the way here? That may depend on what
    decided which object it is, and this one may never come here: `if self.pretrained: self.proj(features)`."""
    made = option.receiver if isinstance(option, Bound) else option
    if not isinstance(made, Instance) or isinstance(made.cls, Class):
        return False
    before = set()
    path = made.made
    while path is not None:
        before.add(id(path[1]))
        path = path[0]
    path = run.path
    while path is not None:
        subject = path[1]
        if not isinstance(subject, (Round, Choice, Bound)) and id(subject) not in before:
            return True
        path = path[0]
    return False
