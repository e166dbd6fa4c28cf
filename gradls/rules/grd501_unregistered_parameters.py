"""GRD501."""

import ast
from collections.abc import Iterable, Iterator

from gradls.flow.class_text import FILLING
from gradls.flow.facts import Event, Facts, attributes_read
from gradls.flow.graph import HIDING
from gradls.flow.registration import PlainContainer, plain_containers
from gradls.flow.values import Instance, Mapping, Tensor, Unknown
from gradls.flow.values import Sequence as Items
from gradls.rules.container_fixes import fixes_of
from gradls.rules.finding import Finding, Place, Severity, Step
from gradls.rules.registration import (
    asked_for_parameters,
    has_own_ways,
    leaves_of,
    optimized,
    parts_of,
    registered_elsewhere,
)
from gradls.rules.rule import Rule
from gradls.rules.words import place
from gradls.syntax.source import Source


class UnregisteredParameters(Rule):
    """Layers or parameters that a module keeps in a plain list or dictionary.

    ## What it finds
    An attribute of an `nn.Module` that is a list, tuple or dictionary with modules or parameters in it, at any depth,
    that the module makes itself and registers in no other way. As information, one with modules that it was given, if a
    `backward()` fills their gradients and an optimizer has the other parameters of the module only; and an object of a
    class that is no `nn.Module`, with modules or parameters as its attributes.

    ## Why it matters
    A module finds its parameters among its attributes, and does not look into containers of Python. What is in there
    is missing from `parameters()`: no optimizer trains it, `to()` does not move it, `state_dict()` does not save it.

    ## What PyTorch does
    It says nothing, unless nothing at all is registered; then making the optimizer raises

        ValueError: optimizer got an empty parameter list

    ## Example
    ```python
    import torch
    from torch import nn


    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = [nn.Linear(4, 4), nn.Linear(4, 4)]
            self.head = nn.Linear(4, 1)

        def forward(self, x):
            for layer in self.layers:
                x = torch.relu(layer(x))
            return self.head(x)


    assert len(list(Net().parameters())) == 2
    ```

    ```python
    import torch
    from torch import nn


    class Attention:
        def __init__(self):
            self.query, self.key = nn.Linear(4, 4), nn.Linear(4, 4)

        def __call__(self, x):
            return (self.query(x) @ self.key(x).T).softmax(dim=-1) @ x


    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = Attention()
            self.head = nn.Linear(4, 1)

        def forward(self, x):
            return self.head(self.attention(x))


    assert len(list(Net().parameters())) == 2
    ```

    ## Use instead
    `nn.ModuleList`, `nn.ModuleDict`, `nn.ParameterList` or `nn.ParameterDict`; a class derived from `nn.Module`.

    ```python
    import torch
    from torch import nn


    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])
            self.head = nn.Linear(4, 1)

        def forward(self, x):
            for layer in self.layers:
                x = torch.relu(layer(x))
            return self.head(x)


    assert len(list(Net().parameters())) == 6
    ```

    ## When it is silent
    Where what is in the container is also registered, is given to an optimizer, is asked for its parameters, is
    returned by a method (`def arch_parameters(self): return self.alphas`), is replaced by one (an update that is made
    by hand), comes from outside (a list is a way to hold
    a module without registering it), is a copy that an object holds, as of a teacher, or has nothing to train.

    ```python
    import torch
    from torch import nn


    class Net(nn.Module):
        def __init__(self, teacher):
            super().__init__()
            self.teacher = [teacher]
            self.layers = [nn.Linear(4, 4), nn.ReLU()]
            self.body = nn.Sequential(*self.layers)

        def forward(self, x):
            return self.body(x)


    assert len(list(Net(nn.Linear(4, 4)).parameters())) == 2
    ```

    ## Fix safety
    Suggested: the names in the state dictionary change, and saved ones no longer fit. `nn.ModuleDict` takes no keys
    with a dot or with the name of one of its own methods, and a `nn.ModuleList` has no `index`: where the program needs
    that, the plain container stays, and what is in it is registered beside it.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.nn.ModuleList.html
    - https://docs.pytorch.org/docs/stable/generated/torch.nn.ParameterList.html
    """

    code, name, severity = "GRD501", "unregistered-parameters", Severity.WARNING
    whole_file = True
    of_absence = True

    def check(self, facts: Facts) -> Iterable[Finding]:
        found = list(facts.each(_held))
        if not found:
            return
        known = optimized(facts)
        others = asked_for_parameters(facts) | registered_elsewhere(facts) | set(facts.each(_returned))
        late = _registered_later(facts, others)
        for module, container in found:
            if any(member in others for member in container.members) or _is_given_away(facts, container.name):
                continue
            if (module.cls, container.name) in late or (module.cls, "") in late:
                continue
            if any(leaf in known for member in container.members for leaf in leaves_of(member)):
                continue
            if _is_trained_by_hand(facts, container):
                continue
            if all(_is_own(module, member) for member in container.members):
                yield from self._report(facts, module, container, _severity_alone(facts, module, container))
            elif _is_trained_around(facts, module, container, known):
                yield from self._report(facts, module, container, Severity.INFORMATION)

    def _report(
        self, facts: Facts, module: Instance, container: PlainContainer, severity: Severity | None = None
    ) -> Iterator[Finding]:
        at = _assignment(facts, module, container)
        if at is None or _is_placeholder(facts, container.name, at.at.source):
            return
        kind = "dictionary" if isinstance(container.value, Mapping) else "tuple" if _is_tuple(container) else "list"
        modules = [member for member in container.members if isinstance(member, Instance)]
        what = "modules" if modules else "parameters"
        if modules and len(modules) < len(container.members):
            what = "modules and parameters"
        if container.cls is not None:
            yield self._of_object(facts, container, what, at)
            return
        end = "no optimizer trains them"
        if severity is Severity.INFORMATION and not modules:
            end = "only an optimizer that is given them by themselves trains them"
        use = ("Module" if modules else "Parameter") + ("Dict" if kind == "dictionary" else "List")
        message = (
            f"`self.{container.name}` is a plain {kind}: the {what} in it are not registered, `parameters()` does "
            f"not list them and {end}; use `nn.{use}`"
        )
        story = [Step(member, "this is not registered") for member in _places(container)]
        fixes = fixes_of(facts, module, container, at, use) if what != "modules and parameters" else ()
        yield self.finding(place(at.at), message, story, fixes, severity=severity)

    def _of_object(self, facts: Facts, container: PlainContainer, what: str, at: Event) -> Finding:
        assert container.cls is not None
        message = (
            f"`{container.cls.name}` is no `nn.Module`: the {what} that `self.{container.name}` has of it are not "
            "registered, `parameters()` does not list them and no optimizer trains them; derive the class from "
            f"`nn.Module`{'' if isinstance(container.value, Instance) else ', and keep them in an `nn.ModuleList`'}"
        )
        story = [Step(Place(container.cls.source, container.cls.node), "this class")]
        story += [Step(member, "this is not registered") for member in _places(container)]
        return self.finding(place(at.at), message, story, severity=Severity.INFORMATION)


def _severity_alone(facts: Facts, module: Instance, container: PlainContainer) -> Severity | None:
    """Tensors that are no parameters, of a class of which nobody here makes an object, may be there to be given to an
    optimizer by themselves, elsewhere."""
    if any(event.value is module and not event.alone for event in facts.of("object-made")):
        return None
    if any(not isinstance(member, Tensor) or member.is_parameter for member in container.members):
        return None
    asked = any(module in parts_of(whole) for whole in asked_for_parameters(facts) if isinstance(whole, Instance))
    return None if asked else Severity.INFORMATION


def _held(facts: Facts) -> Iterator[tuple[Instance, PlainContainer]]:
    """The modules, each with a container that it holds, of members which it made itself or was given."""
    for event in facts.of("object-made"):
        module = event.value
        if isinstance(module, Instance) and not has_own_ways(module):
            for container in _containers(event, module):
                if container.cls is not None and any(_is_copy(member) for member in container.members):
                    continue  # an object is a way to hold a teacher
                yield module, container


def _is_trained_around(facts: Facts, module: Instance, container: PlainContainer, known: set[Tensor]) -> bool:
    """Does an optimizer have other parameters of the module, and none of those in the container, which a backward
    fills?"""
    made = list(facts.of("optimizer-made", "group-added"))
    if any(event.strange for event in made) or not any(leaf in known for leaf in leaves_of(module)):
        return False
    perhaps = {leaf for event in made for leaf in event.perhaps}
    reached = {leaf for event in facts.of("backward") for leaf in event.reached}
    held = {leaf for member in container.members for leaf in leaves_of(member)}
    if any(leaf in perhaps or leaf.requires_grad is not True or leaf.fields.get("*escaped") for leaf in held):
        return False
    return not held.isdisjoint(reached)


def _containers(event: Event, module: Instance) -> list[PlainContainer]:
    """What the module held when it was made, and what it holds at the end, if that is still known."""
    found = {container.name: container for container in event.containers}
    if not event.alone:
        late = {container.name: container for container in plain_containers(module)}
        # What was registered or mended later is not held any more.
        found = {name: late[name] for name in late} if module.fields else found
    return list(found.values())


def _registered_later(facts: Facts, others: set[Instance | Tensor]) -> set[tuple[object, str]]:
    """The containers, by class and name, of which a method registers what is in that of some object: it does so with
    all objects of the class that it is called on. No name: it registers something that may be in any of them."""
    found: set[tuple[object, str]] = set()
    for event in facts.of("object-made"):
        if isinstance(event.value, Instance):
            held = [container for container in event.containers if not others.isdisjoint(container.members)]
            found.update((event.value.cls, container.name) for container in held)
    for event in facts.of("register-module"):
        value = event.assigned
        if isinstance(event.value, Instance) and isinstance(value, Unknown) and value.origin in HIDING:
            found.add((event.value.cls, ""))
    return found


def _returned(facts: Facts) -> Iterator[Tensor]:
    """The leaves that methods other than `forward` return, one by one or in a list. Their callers may train them."""
    for event in facts.of("return"):
        if event.calls is None or event.calls[1].owner is None or event.calls[1].name in ("forward", "__call__"):
            continue
        for root in event.nodes:
            nodes = [edge.node for edge in root.edges] if root.kind == "phi" else [root]
            yield from (node.leaf for node in nodes if node.leaf is not None)


def _is_trained_by_hand(facts: Facts, container: PlainContainer) -> bool:
    """Does a method put other tensors in the place of parameters, as an update does that no optimizer makes?"""
    made = {member.node.at.node for member in container.members if isinstance(member, Tensor) and member.node.at}
    if not all(isinstance(member, Tensor) for member in container.members):
        return False
    for read in facts.reads(container.name):
        entry, method = facts.parent(read), facts.function(read)
        replaced = isinstance(entry, ast.Subscript) and isinstance(entry.ctx, ast.Store) and entry.value is read
        if replaced and method is not None and method.name != "__init__":
            statement = facts.statement(entry)
            if not isinstance(statement, ast.Assign) or statement.value not in made:
                return True  # Otherwise the constructor has another method fill it.
    return False


def _is_given_away(facts: Facts, name: str) -> bool:
    """Does a method other than `forward` return the attribute itself? Its callers may train what is in it."""
    for read in facts.reads(name):
        outer = facts.parent(read)
        if (
            isinstance(outer, ast.Call)
            and isinstance(outer.func, ast.Name)
            and outer.func.id in ("iter", "list", "tuple")
        ):
            outer = facts.parent(outer)
        if isinstance(outer, (ast.Return, ast.YieldFrom)) and isinstance(read.value, ast.Name):
            method = facts.function(outer)
            if isinstance(method, ast.FunctionDef) and method.name not in ("forward", "__call__"):
                return True
    return False


def _is_own(module: Instance, member: Instance | Tensor) -> bool:
    """Was it made after the module, so by the module itself?"""
    return member.fields.born > module.fields.born


def _is_placeholder(facts: Facts, name: str, source: Source) -> bool:
    """Is only the length of the container looked at, or something else put in its place before it is read?"""
    found = facts.reads(name) if source is facts.source else [*facts.reads(name), *attributes_read(source, name)]
    reads = [read for read in found if not _only_fills(facts, read)]
    return bool(reads) and all(_is_of_length(facts, read) or _is_replaced_before(facts, read) for read in reads)


def _only_fills(facts: Facts, read: ast.Attribute) -> bool:
    outer = facts.parent(read)
    return isinstance(outer, ast.Attribute) and outer.attr in FILLING


def _is_of_length(facts: Facts, read: ast.Attribute) -> bool:
    outer = facts.parent(read)
    return isinstance(outer, ast.Call) and isinstance(outer.func, ast.Name) and outer.func.id == "len"


def _is_replaced_before(facts: Facts, read: ast.Attribute) -> bool:
    """Does a method other than `__init__` give the attribute another value, on all ways, before it reads it?"""
    method = facts.function(read)
    if method is None or method.name == "__init__" or not isinstance(read.value, ast.Name):
        return False
    for statement in method.body:
        targets = statement.targets if isinstance(statement, ast.Assign) else []
        if statement.lineno < read.lineno and any(
            isinstance(target, ast.Attribute)
            and target.attr == read.attr
            and isinstance(target.value, ast.Name)
            and target.value.id == read.value.id
            for target in targets
        ):
            return True
    return False


def _is_copy(member: Instance | Tensor) -> bool:
    return any(leaf.node.op == "deepcopy" for leaf in leaves_of(member))


def _is_tuple(container: PlainContainer) -> bool:
    return isinstance(container.value, Items) and container.value.kind == "tuple"


def _assignment(facts: Facts, module: Instance, container: PlainContainer) -> Event | None:
    """Where the container became an attribute."""
    found = None
    for event in facts.of("attribute-set"):
        if event.value is module and event.name == container.name and not event.augmented:
            if event.assigned is container.value:
                return event
            found = event
    return found


def _places(container: PlainContainer, most: int = 3) -> list[Place]:
    """Where the first few members were made."""
    found: dict[ast.AST, Place] = {}
    for member in container.members:
        at = member.at if isinstance(member, Instance) else member.node.at
        if at is not None:
            found.setdefault(at.node, place(at))
    return list(found.values())[:most]
