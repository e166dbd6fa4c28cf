"""GRD505."""

import ast
from collections.abc import Iterable, Iterator

from gradls.autograd.versions import NAMED_PARAMETERS, shown, since
from gradls.flow.facts import Event, Facts
from gradls.flow.graph import At
from gradls.flow.join import options
from gradls.flow.reach import frontier, walk
from gradls.flow.values import Bound, Function, Host, Instance, Mapping, Sequence, Tensor, Unknown, Value
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity, Step
from gradls.rules.loss_arguments import of_call, used_as_module
from gradls.rules.rule import Rule
from gradls.rules.scopes import bound_once
from gradls.rules.unknown_parameters import results_in, state_in
from gradls.rules.words import code, owners, place


class OptimizerArguments(Rule):
    """An optimizer that is given something else than the parameters of a model.

    ## What it finds
    An optimizer over an empty list, over an iterator that was gone through before, over a single tensor, a module, a
    dictionary, a set or a list of lists; over tensors that are results of operations; and over the values of a
    `state_dict()`. With a `target-torch` before 2.6, also over named parameters. As information, a group of its own
    for parameters that are frozen, as those of `Embedding.from_pretrained` are, and stay so; tensors that do not
    require grad, such as buffers; and of something unknown that is used as a module: the method `parameters` itself,
    results of operations on its parameters, and the values of its state.

    ## Why it matters
    Most of these raise. The values of a state dictionary do not: they are detached from the parameters, never get a
    gradient, and `step()` passes over them.

    ## What PyTorch does
    It raises one of

        ValueError: optimizer got an empty parameter list
        ValueError: can't optimize a non-leaf Tensor
        TypeError: params argument given to the optimizer should be an iterable of Tensors or dicts
        TypeError: optimizer can only optimize Tensors, but one of the params is str
        TypeError: optimizer parameters need to be organized in ordered collections

    ## Example
    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    parameters = model.parameters()
    print(sum(parameter.numel() for parameter in parameters))
    optimizer = torch.optim.SGD(parameters, lr=0.1)  # raises ValueError: optimizer got an empty parameter list
    ```

    ```python
    import torch

    weight = 0.01 * torch.randn(3, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=0.1)  # raises ValueError: can't optimize a non-leaf Tensor
    ```

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD([model], lr=0.1)  # raises TypeError: optimizer can only optimize Tensors
    ```

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    before = model.weight.clone()
    optimizer = torch.optim.SGD(list(model.state_dict().values()), lr=0.1)
    model(torch.randn(8, 3)).sum().backward()
    optimizer.step()
    assert torch.equal(model.weight, before)
    ```

    ```python
    import torch

    table = torch.nn.Embedding.from_pretrained(torch.randn(9, 3))
    model = torch.nn.Linear(3, 1)
    groups = [{"params": table.parameters(), "lr": 0.01}, {"params": model.parameters()}]
    optimizer = torch.optim.SGD(groups, lr=0.1)
    model(table(torch.arange(8))).sum().backward()
    assert table.weight.grad is None
    ```

    ## Use instead
    `model.parameters()`, a list of tensors that require grad themselves, or a list of dictionaries of these.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    weight = (0.01 * torch.randn(3)).requires_grad_()
    parameters = list(model.parameters())
    print(sum(parameter.numel() for parameter in parameters))
    optimizer = torch.optim.SGD([{"params": parameters}, {"params": weight, "lr": 1.0}], lr=0.1)
    assert len(optimizer.param_groups) == 2
    ```

    ## When it is silent
    Where it is not certain what the optimizer gets; and for named parameters, which it takes too since PyTorch 2.6.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.named_parameters(), lr=0.1)
    assert len(optimizer.param_groups[0]["params"]) == 2
    ```

    ## Fix safety
    Safe where the right thing is only to be put into a list, or called. Suggested: the `parameters()` of a module, and
    a result that becomes a leaf itself, where what it is computed from is made in the same expression.

    ## References
    - https://docs.pytorch.org/docs/stable/optim.html
    """

    code, name, severity = "GRD505", "optimizer-arguments", Severity.ERROR

    def check(self, facts: Facts) -> Iterable[Finding]:
        for event in facts.of("optimizer-made"):
            given = event.given
            if given is None or event.call.unsure or event.caught:
                continue
            found = list(self._of_whole(facts, event, given))
            if not found:
                found = list(self._of_state(event, given))
            if not found:
                for group, used_up in event.groups:
                    found += self._of_group(facts, event, group, used_up, group is given)
            yield from found[:1]

    def _of_whole(self, facts: Facts, event: Event, given: Value) -> Iterator[Finding]:
        what = _written(facts, event)
        if isinstance(given, Tensor):
            message = f"{what} is a single tensor, and the optimizer raises: give it a list, `[...]`"
            yield self.finding(place(event.at), message, (), _listed(facts, event))
        elif isinstance(given, Instance) and given.path.startswith("torch.nn.") and "ParameterList" not in given.path:
            yield self._of_module(facts, event, what)
        elif isinstance(given, Mapping):
            meant = "a list of such groups" if "params" in given.entries else "the values, and not detached ones"
            message = f"{what} is a dictionary, of which the optimizer sees the keys, and it raises: give it {meant}"
            fixes = _listed(facts, event) if "params" in given.entries else []
            yield self.finding(place(event.at), message, (), fixes)
        elif _is_method(given, "parameters"):
            message = f"{what} is the method, and the optimizer raises: call it, with `()`"
            yield self.finding(place(event.at), message, (), _called(event))
        elif isinstance(given, Unknown) and of_call(given)[1] == "parameters" and _is_attribute(event, given):
            message = f"if {what} is the method of a module, the optimizer raises: call it, with `()`"
            yield self.finding(place(event.at), message, (), _called(event, Safety.SUGGESTED), Severity.INFORMATION)
        elif not event.open and not event.parameters and _is_empty(event) and not _is_of_base(facts, event):
            yield self._of_nothing(facts, event, what)

    def _of_module(self, facts: Facts, event: Event, what: str) -> Finding:
        message = f"{what} is a module, and the optimizer raises: give it its `parameters()`"
        argument = _argument(event)
        fixes = []
        if argument is not None:
            fixes.append(Fix("Add `.parameters()`", Safety.SUGGESTED, edits.add_call(place(argument), ".parameters()")))
        return self.finding(place(event.at), message, (), fixes)

    def _of_nothing(self, facts: Facts, event: Event, what: str) -> Finding:
        used_up = next((at for _, at in event.groups if at is not None), event.exhausted)
        if used_up is not None:
            message = f"{what} is an iterator that was gone through before: the optimizer gets nothing, and raises"
            story = [Step(place(used_up), "it is gone through here")]
            return self.finding(place(event.at), message, story, _kept_in_list(facts, event))
        message = f"{what} is empty: no parameter is registered there, and the optimizer raises"
        # Other files have ways of their own to fill what this one only sees empty.
        return self.finding(place(event.at), message, severity=Severity.INFORMATION if facts.others else None)

    def _of_group(
        self, facts: Facts, event: Event, group: Value, used_up: At | None, is_whole: bool
    ) -> Iterator[Finding]:
        if not is_whole and isinstance(group, Sequence) and group.kind == "set":
            message = "a group is a set, whose order may change from run to run, and the optimizer raises: use a list"
            yield self.finding(place(event.at), message)
        yield from self._of_state(event, group)
        if not is_whole and used_up is not None:
            message = "a group is an iterator that was gone through before: the optimizer does not train it"
            story = [Step(place(used_up), "it is gone through here")]
            yield self.finding(place(event.at), message, story, severity=Severity.WARNING)
        items = group.items if isinstance(group, Sequence) and used_up is None else ()
        for item in items:
            wrong = _no_parameter(item, since(facts.target, NAMED_PARAMETERS))
            if wrong:
                yield self.finding(place(event.at), f"there is {wrong} among the parameters, and the optimizer raises")
                return
        yield from self._of_results(facts, event, group)
        tensors = [item for item in items if isinstance(item, Tensor)]
        if isinstance(group, Tensor) and not is_whole:
            tensors = [group]
        yield from self._of_tensors(event, tensors)
        frozen = [tensor for tensor in tensors if _stays_frozen(facts, tensor)]
        plain = [tensor for tensor in frozen if not tensor.is_parameter]
        if plain and not (is_whole and len(plain) == len(items)):
            many = len(plain) > 1
            message = (
                f"{_named(plain)} among the parameters {'require' if many else 'requires'} no grad, and "
                f"{'are' if many else 'is'} never trained, as plain tensors and buffers are not. Use `nn.Parameter`, "
                "or `requires_grad_()`"
            )
            yield self.finding(place(event.at), message, severity=Severity.INFORMATION)
        elif not is_whole and tensors and len(frozen) == max(len(items), len(tensors)):
            message = (
                f"a group holds only {owners(tensors)}, frozen: it is never trained. Thaw what is to be trained, or "
                "leave the group away"
            )
            yield self.finding(place(event.at), message, _made(tensors[0]), severity=Severity.INFORMATION)

    def _of_results(self, facts: Facts, event: Event, group: Value) -> Iterator[Finding]:
        """Results of operations on the parameters of models of which nothing else is known."""
        result = results_in(group)
        if result is not None and result.at is not None:
            message = (
                f"{code(facts, result.at.node)} is computed from a parameter, and is none itself: if that requires "
                "grad, it is no leaf and the optimizer raises; give it the parameters"
            )
            story = [Step(place(result.at), "it is computed here")]
            yield self.finding(place(event.at), message, story, severity=Severity.INFORMATION)

    def _of_state(self, event: Event, given: Value) -> Iterator[Finding]:
        """The values of a `state_dict()`, of a model that may be known or not."""
        values = state_in(given)
        if values:
            detached = [value for value in values if isinstance(value, Tensor)]
            leaves = [tensor.data for tensor in detached if isinstance(tensor.data, Tensor)]
            message = (
                f"the values of a `state_dict()` are detached from {owners(leaves) if leaves else 'the parameters'}: "
                "they never get a gradient, and `step()` trains nothing; give it `parameters()`"
            )
            story = _made(detached[0]) if detached else []
            severity = Severity.WARNING if detached else Severity.INFORMATION
            message = message if detached else f"if these belong to a module, {message}"
            yield self.finding(place(event.at), message, story, severity=severity)

    def _of_tensors(self, event: Event, tensors: list[Tensor]) -> Iterator[Finding]:
        for tensor in tensors:
            if tensor.requires_grad is True and tensor.leaf is False and not tensor.is_parameter:
                name = f"`{tensor.name}`" if tensor.name else "a tensor"
                message = (
                    f"{name} is the result of an operation and no leaf: the optimizer raises; compute first, and "
                    "call `requires_grad_()` last"
                )
                yield self.finding(place(event.at), message, _made(tensor), _made_leaf(tensor))
                return
            made = tensor.node.op
            if (
                tensor.requires_grad is True
                and tensor.leaf is None
                and made in ("to", "type", "cuda", "float", "double")
                and any(edge.flows for edge in tensor.node.edges)  # or the flag came only afterwards
            ):
                name = f"`{tensor.name}`" if tensor.name else "a tensor"
                message = (
                    f"if `{made}()` changes anything, {name} is no leaf and the optimizer raises; convert first, and "
                    "call `requires_grad_()` last"
                )
                yield self.finding(place(event.at), message, _made(tensor), _made_leaf(tensor), Severity.INFORMATION)
                return


def _called(event: Event, safety: Safety = Safety.SAFE) -> list[Fix]:
    argument = _argument(event)
    return [Fix("Call it", safety, edits.add_call(place(argument), "()"))] if argument else []


def _is_attribute(event: Event, given: Unknown) -> bool:
    """Is what an optimizer is given written as an attribute, of something that is used as a module besides?"""
    argument = _argument(event)
    owner = given.fields.get("of")
    written = argument is not None and isinstance(argument.node, ast.Attribute)
    return written and isinstance(owner, Unknown) and len(used_as_module(owner)) > 1


def _listed(facts: Facts, event: Event) -> list[Fix]:
    argument = _argument(event)
    if argument is None:
        return []
    build = edits.replace_expression(place(argument), f"[{facts.segment(argument.node)}]")
    return [Fix("Put it into a list", Safety.SAFE, build)]


def _kept_in_list(facts: Facts, event: Event) -> list[Fix]:
    """Have what is an iterator be a list from where it gets its name, in the same function."""
    argument = _argument(event)
    if argument is None or not isinstance(argument.node, ast.Name):
        return []
    bound = bound_once(facts, argument.node)
    if not isinstance(bound, ast.Call):
        return []
    build = edits.replace_expression(Place(argument.source, bound), f"list({facts.segment(bound)})")
    return [Fix("Keep the parameters in a list", Safety.SAFE, build)]


def _made_leaf(tensor: Tensor) -> list[Fix]:
    """Make a leaf of what is computed, where the leaf that it is computed from is made in the same expression."""
    at = tensor.node.at
    leaves = [node.leaf for node in walk(tensor.node) if node.leaf is not None and node.leaf.requires_grad]
    made = [leaf.node.at.node for leaf in leaves if leaf.node.at is not None]
    if at is None or not made or not isinstance(at.node, ast.expr):
        return []
    inside = set(ast.walk(at.node))
    if len(made) != len(leaves) or not inside.issuperset(made):
        return []
    return [Fix("Make the result a leaf", Safety.SUGGESTED, edits.add_call(place(at), ".detach().requires_grad_()"))]


def _argument(event: Event) -> At | None:
    """The expression that gives the parameters."""
    node = event.at.node
    keyword = next((k.value for k in getattr(node, "keywords", ()) if k.arg == "params"), None)
    found = keyword if keyword is not None else next(iter(getattr(node, "args", ())), None)
    return None if found is None else At(event.at.source, found)


def _written(facts: Facts, event: Event) -> str:
    argument = _argument(event)
    return code(facts, argument.node) if argument is not None else "what it is given"


def _is_of_base(facts: Facts, event: Event) -> bool:
    """Do the parameters come from `self` in a class that the program makes no object of? Those that derive from it have
    more."""
    argument = _argument(event)
    # `self.parameters()` may have a name by then.
    around = facts.function(event.at.node) if argument is not None and isinstance(argument.node, ast.Name) else None
    whole = around or (argument.node if argument is not None else None)
    for node in ast.walk(whole) if whole is not None else ():
        for function, _, _ in facts.evaluations(node):
            receiver, _ = of_call(function)
            if (
                isinstance(receiver, Instance)
                and receiver.at is not None
                and not isinstance(receiver.at.node, ast.Call)
            ):
                return True
    return False


def _is_empty(event: Event) -> bool:
    """Is it certain that there is nothing, and not something that is not followed?"""
    groups: list[tuple[Value, At | None]] = event.groups
    return bool(groups) and all(
        used_up is not None or (isinstance(group, Sequence) and not group.items and group.rest is None)
        for group, used_up in groups
    )


def _no_parameter(item: Value, named: bool) -> str:
    """What an element of the list is, if the optimizer raises because of it. Does it take parameters with names?"""
    if isinstance(item, Instance) and item.path.startswith("torch.nn."):
        return "a module"
    if isinstance(item, Host) and item.kind in ("str", "int", "float", "number"):
        return {"str": "a string"}.get(item.kind, "a number")
    if isinstance(item, Sequence) and item.kind == "tuple" and len(item.items) == 2 and not named:
        return f"a pair of a name and a tensor, which needs PyTorch {shown(NAMED_PARAMETERS.version)},"
    if isinstance(item, Sequence) and (item.kind in ("iterator", "list", "view") or len(item.items) != 2):
        return {"iterator": "an iterator", "view": "an iterator"}.get(item.kind, f"a {item.kind}")
    return ""


def _is_method(value: Value, name: str) -> bool:
    return all(isinstance(one, (Bound, Function)) and one.name == name for one in options(value))


def _stays_frozen(facts: Facts, tensor: Tensor) -> bool:
    """Does a parameter not require grad, or a tensor that the program makes, as far as anything is known of it?"""
    if tensor.requires_grad is not False or tensor.fields.get("*escaped"):
        return False
    owner = tensor.owner
    if owner is None and (tensor.leaf is not True or tensor.node.kind in ("phi", "opaque") or frontier(tensor.node)):
        return False
    if owner is not None and (owner.fields.get("*escaped") or owner.open):
        return False
    return tensor not in _may_be_trained(facts)


def _may_be_trained(facts: Facts) -> set[object]:
    """What is thawed, had a gradient before it was frozen, or is assigned one."""
    found: set[object] | None = facts.memo.get("may be trained")
    if found is None:
        found = facts.memo["may be trained"] = set()
        for event in facts.of("requires-grad-set", "freeze"):
            if event.flag is not False:
                found.update((event.value, *event.info.get("parameters", ())))
        found.update(leaf for event in facts.of("backward") for leaf in event.info.get("reached", ()))
        found.update(event.value for event in facts.of("grad-set"))
    return found


def _named(tensors: list[Tensor]) -> str:
    names = [tensor.name or tensor.node.name for tensor in tensors]
    return " and ".join(f"`{name}`" for name in names if name) or ("tensors" if len(names) > 1 else "a tensor")


def _made(tensor: Tensor) -> list[Step]:
    at = tensor.node.at
    return [] if at is None else [Step(place(at), "it was made here")]
