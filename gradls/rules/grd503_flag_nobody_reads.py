"""GRD503."""

import ast
import difflib
from collections.abc import Iterable, Iterator
from functools import lru_cache

from gradls.autograd.modules import find_module
from gradls.autograd.optimizers import find_optimizer
from gradls.flow.facts import Event, Facts
from gradls.flow.hierarchy import is_module
from gradls.flow.models.modules import modules_of
from gradls.flow.values import Bound, Class, Host, Instance, Lib, Tensor, Unknown, Value
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity, TextEdit
from gradls.rules.group_options import first_groups, lost_in_copies, only_defaults
from gradls.rules.loss_arguments import element_of, is_used_as_module
from gradls.rules.registration import made_in
from gradls.rules.rule import Rule
from gradls.rules.words import code, place
from gradls.syntax.walk import walk

_OF_TENSORS = ("requires_grad", "grad", "retain_grad")


class FlagNobodyReads(Rule):
    """An assignment to an attribute that PyTorch never looks at.

    ## What it finds
    `module.requires_grad = False`, a misspelt flag such as `parameter.require_grad = False`, and
    `optimizer.lr = 0.01`; and `parameter.data.requires_grad = False`, which is the flag of a tensor that nobody keeps.
    An option that is set in `optimizer.state_dict()`, a copy, or in `optimizer.defaults`, which is for groups that are
    added later, and, as information, a loop over `param_groups` which sets it in the first group each time.
    The mode of a model, `model.training = False`, which its layers do not see. A misspelt keyword or method
    (`torch.zeros(3, require_grad=True)`), which raises, too.

    ## Why it matters
    Python makes a new attribute of the object and says nothing. The layer that was to be frozen goes on training, and
    the learning rate stays what it was.

    ## What PyTorch does
    Nothing; for a misspelt keyword or method it raises

        TypeError: zeros() received an invalid combination of arguments
        AttributeError: 'Linear' object has no attribute 'require_grad_'

    ## Example
    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    model.requires_grad = False
    assert model.weight.requires_grad
    ```

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    for parameter in model.parameters():
        parameter.require_grad = False
    assert model.weight.requires_grad
    ```

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    model.weight.data.requires_grad = False
    assert model.weight.requires_grad
    ```

    ```python
    import torch

    optimizer = torch.optim.SGD(torch.nn.Linear(3, 1).parameters(), lr=0.1)
    optimizer.lr = 0.01
    assert optimizer.param_groups[0]["lr"] == 0.1
    ```

    ```python
    import torch

    optimizer = torch.optim.SGD(torch.nn.Linear(3, 1).parameters(), lr=0.1)
    optimizer.state_dict()["param_groups"][0]["lr"] = 0.01
    assert optimizer.param_groups[0]["lr"] == 0.1
    ```

    ```python
    import torch

    layers = [{"params": torch.nn.Linear(3, 1).parameters()} for _ in range(2)]
    optimizer = torch.optim.SGD(layers, lr=0.1)
    for group in optimizer.param_groups:
        optimizer.param_groups[0]["lr"] = 0.01
    assert optimizer.param_groups[1]["lr"] == 0.1
    ```

    ```python
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(3, 64), torch.nn.Dropout(0.9))
    model.training = False
    assert (model(torch.ones(3)) == 0).any()
    ```

    ## Use instead
    The method of the module, the flag of the parameter, the groups of the optimizer.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    model.requires_grad_(False)
    assert not model.weight.requires_grad
    model.weight.requires_grad = True
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for group in optimizer.param_groups:
        group["lr"] = 0.01
    assert optimizer.param_groups[0]["lr"] == 0.01
    ```

    ## When it is silent
    Where the program reads the attribute itself, and where a class sets it on its own objects.

    ```python
    import torch


    class Extractor(torch.nn.Module):
        def __init__(self, requires_grad=False):
            super().__init__()
            self.requires_grad = requires_grad
            self.body = torch.nn.Linear(3, 1).requires_grad_(self.requires_grad)


    assert not Extractor().body.weight.requires_grad
    ```

    ## Fix safety
    Safe for flags: what was meant is clear. Suggested for an optimizer, of which all groups get the value.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html#torch.nn.Module.requires_grad_
    - https://docs.pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate
    """

    code, name, severity = "GRD503", "flag-nobody-reads", Severity.WARNING
    whole_file = True
    of_absence = True

    def check(self, facts: Facts) -> Iterable[Finding]:
        yield from facts.each(self._of_modules)
        yield from facts.each(self._of_modes)
        for event in facts.each(_of_optimizers):
            yield from self._of_optimizer(facts, event)
        for event, meant in facts.each(_misspelt):
            if not _is_read(facts, event.name):
                message = (
                    f"{code(facts, event.at.node)} is an attribute that PyTorch does not know: it changes nothing, "
                    f"the flag is called `{meant}`"
                )
                fix = Fix(f"Rename to {meant}", Safety.SAFE, edits.rename_attribute(place(event.at), meant))
                yield self.finding(place(event.at), message, (), [fix])
        yield from facts.each(self._of_calls)
        yield from facts.each(self._of_data)
        for lost in (*lost_in_copies(facts), *first_groups(facts), *only_defaults(facts)):
            severity = Severity.WARNING if lost.is_certain else Severity.INFORMATION
            yield self.finding(lost.place, lost.message, (), lost.fixes, severity)

    def _of_modules(self, facts: Facts) -> Iterable[Finding]:
        for event in facts.of("attribute-set"):
            receiver = event.value
            if not isinstance(receiver, Instance) or event.name != "requires_grad" or is_module(receiver) is not True:
                continue
            if not _is_own(event, receiver):
                yield from self._of_module(facts, event)
        for event in facts.of("unknown-attribute-set"):
            known = event.value is not None and is_used_as_module(facts, event.value)
            known = known or _is_from(event.value, _MODULES)
            if event.name == "requires_grad" and known and not _is_told_apart(event.value):
                yield from self._of_module(facts, event)

    def _of_data(self, facts: Facts) -> Iterable[Finding]:
        """`parameter.data.requires_grad = False`: `data` gives another tensor each time."""
        for event in facts.of("requires-grad-set", "unknown-flag-set"):
            node = event.at.node
            target = _receiver(node.func if isinstance(node, ast.Call) else node)
            if not isinstance(target, ast.Attribute) or target.attr != "data" or not _is_dropped(facts, event):
                continue
            owner = facts.segment(target.value)
            message = (
                f"`{owner}.data` is another tensor each time it is asked for, and this sets the flag of one that "
                f"nobody has: `{owner}` keeps its own"
            )
            fix = Fix(f"Set the flag of {owner}", Safety.SAFE, edits.remove_call(Place(event.at.source, target)))
            yield self.finding(place(event.at), message, (), [fix])

    def _of_modes(self, facts: Facts) -> Iterable[Finding]:
        """`model.training = False`, which the layers in the model do not see."""
        for event in facts.of("unknown-attribute-set"):
            target = _receiver(event.at.node)
            flag = event.assigned.value if isinstance(event.assigned, Host) else None
            if event.name != "training" or target is None or not isinstance(flag, bool):
                continue
            called = any(other.value is event.value for other in facts.of("unknown-call"))
            if any(switch.value is event.value and switch.mode is flag for switch in facts.of("unknown-train-mode")):
                continue  # That is done, too.
            if called and not _is_told_apart(event.value) and not _is_from(event.value, _MODULES):
                owner = facts.segment(target)
                message = (
                    f"if `{owner}` is a module, `{owner}.training` is the mode of this one module: each layer in it "
                    f"has its own, and keeps it; call `{owner}.{'train' if flag else 'eval'}()`"
                )
                yield self.finding(place(event.at), message, severity=Severity.INFORMATION)
        events = [event for event in facts.of("attribute-set") if event.name == "training"]
        for event in events:
            module, target = event.value, _receiver(event.at.node)
            if not isinstance(module, Instance) or target is None or is_module(module) is not True:
                continue
            flag = event.assigned.value if isinstance(event.assigned, Host) else None
            parts = [part for part in modules_of(module)[0] if part is not module]
            inside = next((part for part in parts if _has_mode(part)), None)
            if not isinstance(flag, bool) or inside is None or _is_own(event, module) or _reads_mode(module):
                continue
            if any(other.value in parts for other in events):
                continue
            if any(inside in switch.modules and switch.mode is flag for switch in facts.of("train-mode")):
                continue  # That is done, too.
            owner, name = facts.segment(target), inside.path.rpartition(".")[2]
            message = (
                f"`{owner}.training` is the mode of this one module: each layer in it has its own, and its `{name}` "
                f"keeps it; call `{owner}.{'train' if flag else 'eval'}()`"
            )
            yield self.finding(place(event.at), message)

    def _of_calls(self, facts: Facts) -> Iterable[Finding]:
        """Misspelt keywords and methods, which raise, and a method that is assigned to."""
        for event in facts.of("attribute-set", "tensor-attribute"):
            if event.name == "requires_grad_" and isinstance(event.assigned, Host) and _is_frozen_by(event.value):
                what = code(facts, event.at.node)
                message = f"{what} is a method: the assignment only hides it and changes nothing; call it"
                yield self.finding(place(event.at), message)
        for node, records in facts.calls.items():
            function = records[0][0]
            if isinstance(function, Lib):
                if not node.keywords:
                    continue
                wrong = next((keyword for keyword in node.keywords if keyword.arg and _meant(keyword.arg)), None)
                inner = function.path.rpartition(".")[2].startswith("_")  # `Tensor._make_subclass(require_grad=...)`
                if wrong is not None and function.path.startswith("torch.") and not inner:
                    at = Place(facts.source_of(node), node)
                    message = f"{code(facts, node)} raises: the argument is called `requires_grad`, not `{wrong.arg}`"
                    edit = TextEdit(
                        at.source.path, Place(at.source, wrong).span, f"requires_grad={facts.segment(wrong.value)}"
                    )
                    fix = Fix("Rename to requires_grad", Safety.SAFE, lambda edit=edit: [edit])  # type: ignore[misc]
                    yield self.finding(at, message, (), [fix], Severity.ERROR)
            elif isinstance(function, Bound) and function.function is None:
                name = function.name
                wants = name != "requires_grad_" and name.endswith("_") and _meant(name)
                if wants and _is_torch(function.receiver):
                    at = Place(facts.source_of(node), node)
                    message = f"{code(facts, node)} raises: the method is called `requires_grad_`"
                    fix = Fix("Rename to requires_grad_", Safety.SAFE, edits.rename_attribute(at, "requires_grad_"))
                    yield self.finding(at, message, (), [fix], Severity.ERROR)

    def _of_module(self, facts: Facts, event: Event) -> Iterable[Finding]:
        target = _receiver(event.at.node)
        if target is None or not isinstance(event.assigned, Host):
            return
        owner = facts.segment(target)
        statement = facts.statement(event.at.node)
        flag = facts.segment(statement.value) if isinstance(statement, ast.Assign) else "False"
        message = (
            f"`{owner}` is a module, and `requires_grad` a new attribute of it that nobody reads: its parameters "
            f"still require grad; call `{owner}.requires_grad_({flag})`"
        )
        fixes = []
        if (
            isinstance(statement, ast.Assign)
            and statement.targets == [event.at.node]
            and "#" not in facts.segment(statement)
        ):
            edit = TextEdit(
                event.at.source.path, Place(event.at.source, statement).span, f"{owner}.requires_grad_({flag})"
            )
            fixes.append(Fix("Call requires_grad_()", Safety.SAFE, lambda: [edit]))
        yield self.finding(place(event.at), message, (), fixes)

    def _of_optimizer(self, facts: Facts, event: Event) -> Iterable[Finding]:
        assert isinstance(event.value, Instance)
        spec = find_optimizer(event.value.path)
        name = "lr" if event.name == "learning_rate" else event.name
        if spec is None or name not in spec.init[1:] or _is_read(facts, event.name, other_than=event.at.node):
            return
        message = (
            f"an optimizer keeps `{name}` in its groups, and does not read {code(facts, event.at.node)}: nothing "
            f'changes; set `group["{name}"]` for each `group` in `param_groups`'
        )
        statement, owner = facts.statement(event.at.node), _receiver(event.at.node)
        fixes = []
        if isinstance(statement, ast.Assign) and statement.targets == [event.at.node] and owner is not None:
            build = edits.set_in_groups(Place(event.at.source, statement), name)
            fixes.append(Fix("Set it in each group", Safety.SUGGESTED, build))
        yield self.finding(place(event.at), message, (), fixes)


def _has_mode(module: Instance) -> bool:
    """Does a layer do something else in evaluation?"""
    spec = find_module(module.path)
    if spec is None or spec.kind not in ("dropout", "norm"):
        return False
    track = module.data.get("options", {}).get("track_running_stats")
    return spec.kind == "dropout" or (bool(spec.buffers) and not (isinstance(track, Host) and track.value is False))


def _reads_mode(module: Instance) -> bool:
    """Does the class of a module ask for its mode? Then to set it does something."""
    return isinstance(module.cls, Class) and any(
        isinstance(node, ast.Attribute) and node.attr == "training" and isinstance(node.ctx, ast.Load)
        for node in ast.walk(module.cls.node)
    )


def _is_told_apart(value: Value | None) -> bool:
    """Does the program ask of which class something unknown is? What it does then, is meant for that class."""
    keys = value.fields if isinstance(value, Unknown) else ()
    return any(
        isinstance(key, tuple) and key[0] == "derived" and isinstance(key[1], tuple) and key[1][0] == "isinstance"
        for key in keys
    )


def _of_optimizers(facts: Facts) -> Iterator[Event]:
    for event in facts.of("attribute-set"):
        if isinstance(event.value, Instance) and event.value.path.startswith("torch.optim."):
            yield event


def _is_dropped(facts: Facts, event: Event) -> bool:
    """Is a flag set of a tensor, or of an element of `parameters()`, and not of what a method gives on?"""
    if event.kind == "unknown-flag-set":
        return _is_from(event.owner, _PARAMETERS)
    if event.node is None or event.node.op != "data":
        return False
    return not event.method or isinstance(facts.parent(event.at.node), ast.Expr)


def _misspelt(facts: Facts) -> Iterator[tuple[Event, str]]:
    """Attributes that are set, and the flags that they resemble."""
    for event in facts.of("tensor-attribute", "unknown-attribute-set"):
        if event.kind == "tensor-attribute" or _is_from(event.value, _PARAMETERS):
            meant = _meant(event.name)
            if meant:
                yield event, meant


def _receiver(node: ast.AST) -> ast.expr | None:
    """Whose attribute is set, by an assignment or by `setattr`."""
    if isinstance(node, ast.Call) and len(node.args) == 3:
        return node.args[0]
    return node.value if isinstance(node, ast.Attribute) else None


def _is_torch(value: Value) -> bool:
    return isinstance(value, Tensor) or (isinstance(value, Instance) and value.path.startswith("torch.nn."))


def _is_frozen_by(value: Value | None) -> bool:
    return isinstance(value, Tensor) or (value is not None and is_module(value) is True)


def _is_own(event: Event, module: Instance) -> bool:
    """Does a class set an attribute of its own objects?"""
    if isinstance(module.cls, Class) and (module.name == "self" or "requires_grad" in module.cls.fields):
        return True
    node = event.at.node
    on_self = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"
    return on_self and made_in(event, "__init__")


_MODULES = frozenset(("children", "modules", "named_children", "named_modules"))
_PARAMETERS = frozenset(("parameters", "named_parameters"))


def _is_from(value: Value | None, methods: frozenset[str]) -> bool:
    """Is it an element of what one of these methods of an unknown value gives?"""
    element = element_of(value) if isinstance(value, Unknown) else None
    iterated = element.fields.get("iterated") if element is not None else None
    return isinstance(iterated, Unknown) and iterated.origin == "call" and iterated.name in methods


@lru_cache(1 << 14)
def _meant(name: str) -> str:
    """The flag of tensors that a name resembles, without being one."""
    plain = name.lower().replace("_", "")
    if name in _OF_TENSORS:
        return ""
    close = difflib.get_close_matches(plain, ["requiresgrad"], n=1, cutoff=0.85)
    return "requires_grad" if close else ""


def _is_read(facts: Facts, name: str, other_than: ast.AST | None = None) -> bool:
    """Does the program read an attribute of this name anywhere, other than to assign it anew?"""
    own = facts.statement(other_than) if other_than is not None else None
    inside = set(walk(own)) if own is not None else set()
    return any(node not in inside for node in facts.reads(name))
