"""What modules hold, and what their parameters are called."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from gradls.autograd.modules import find_module
from gradls.flow.facts import Facts
from gradls.flow.hierarchy import is_module
from gradls.flow.models.modules import contents, recurrent_shape
from gradls.flow.values import ITEMS, Choice, Host, Instance, Tensor, Unknown, Value
from gradls.syntax.separators import line_in_words

Members = dict[Instance, dict[str, Value]]
Named = dict[Tensor, str]


class Names:
    """The modules of a run.

    What a chapter of the run wrote to objects is undone at its end, so that the attributes of objects that a function
    makes are read from what was written down.
    """

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._written: Members = {}
        self._filled: set[Instance] = set()
        self._modules: dict[Instance, None] = {}
        for event in facts.of(
            "attribute-set",
            "attribute-deleted",
            "register-parameter",
            "container-filled",
            "object-made",
            "module-made",
        ):
            owner = event.value
            if not isinstance(owner, Instance):
                continue
            if event.kind == "attribute-set" and isinstance(event.name, str):
                self._written.setdefault(owner, {})[event.name] = event.assigned
            elif event.kind == "attribute-deleted":
                self._written.get(owner, {}).pop(event.name, None)
            elif event.kind == "container-filled" and event.how != "init":
                self._filled.add(owner)
            if is_module(owner):
                self._modules[owner] = None
        self.inside = {
            member for module in self._modules for _, member in self._members(module) if isinstance(member, Instance)
        }
        """The modules that are part of another."""
        self._names: Named | None = None
        self._vague: set[Tensor] | None = None

    @classmethod
    def of(cls, facts: Facts) -> Names:
        """Found out once for these facts."""
        known: Names | None = facts.memo.get("names of parameters")
        if known is None:
            known = facts.memo["names of parameters"] = cls(facts)
        return known

    @property
    def modules(self) -> Iterable[Instance]:
        """All modules that are made."""
        return self._modules

    def parameters(self, module: Instance) -> tuple[dict[Tensor, str], bool]:
        """The parameters of a module with their qualified names, and whether these are all, each of which stands for
        one only."""
        found: Named = {}
        whole = self._collect(module, "", found, set())
        return found, whole

    def _collect(self, module: Instance, prefix: str, found: Named, seen: set[Instance]) -> bool:
        if module in seen:
            return True
        seen.add(module)
        whole = not (module.open or module.fields.get("*escaped")) and _options_known(module)
        whole = whole and not module.data.get("split")
        if module in self._filled and not any(True for _ in contents(module)):
            whole = False
        for name, member in self._members(module):
            if isinstance(member, Tensor):
                if member.is_parameter:
                    found.setdefault(member, prefix + name)
                    whole = whole and name != "*" and not member.node.several
            elif isinstance(member, Instance) and is_module(member) is not False:
                whole = self._collect(member, f"{prefix}{name}.", found, seen) and whole and name != "*"
            elif isinstance(member, (Unknown, Choice)):
                whole = False
        return whole

    def _members(self, module: Instance) -> Iterator[tuple[str, Value]]:
        yield from contents(module)
        fields = {name: value for name, value in self._written.get(module, {}).items() if name not in module.fields}
        for name, value in (*module.fields.items(), *fields.items()):
            if isinstance(name, str) and name not in (ITEMS, "training", "*escaped", "*dirty"):
                yield name, value

    def name(self, leaf: Tensor) -> str:
        """What a leaf is called: `model.fc.weight`, `w`; empty if it has no name."""
        if self._names is None:
            self._names = {}
            for module in sorted(self._modules, key=lambda module: module in self.inside):
                prefix = f"{module.name}." if module.name else ""
                for tensor, qualified in self.parameters(module)[0].items():
                    self._names.setdefault(tensor, prefix + qualified)
        known = self._names.get(leaf)
        if known is not None:
            return known
        name = leaf.name or leaf.node.name
        owner = leaf.owner.name if leaf.owner is not None else ""
        return f"{owner}.{name}" if owner and name else name

    def is_vague(self, leaf: Tensor) -> bool:
        """May this parameter stand for several, or not be there at all?"""
        if self._vague is None:
            self._vague = set()
            for module in self._modules:
                if not _options_known(module):
                    self._vague.update(value for value in module.fields.values() if isinstance(value, Tensor))
                for name, member in self._members(module):
                    if name == "*":
                        self._vague |= self._under(member)
        return leaf in self._vague or leaf.node.several

    def _under(self, member: Value) -> set[Tensor]:
        if isinstance(member, Tensor):
            return {member}
        return set(self.parameters(member)[0]) if isinstance(member, Instance) else set()

    def listed(self, leaves: Iterable[Tensor], most: int = 4) -> str:
        """Names in backquotes: "`a`, `b` and 3 more"."""
        found: list[str] = []
        nameless = 0
        for leaf in leaves:
            name = self.name(leaf)
            if name:
                found.append(f"`{name}`")
            elif leaf.node.at is not None:
                at = leaf.node.at
                found.append(f"the tensor of {line_in_words(at.source, at.source.line(at.node))}")
            else:
                nameless += 1
        found = list(dict.fromkeys(found))
        if nameless or len(found) > most:
            kept = found[:most]
            rest = nameless + len(found) - len(kept)
            return f"{', '.join(kept)} and {rest} more" if kept else f"{rest} without a name"
        return found[0] if len(found) == 1 else f"{', '.join(found[:-1])} and {found[-1]}" if found else ""


def _options_known(module: Instance) -> bool:
    """Is it known which parameters a layer of the library has?"""
    spec = find_module(str(module.data.get("path", "")))
    options = module.data.get("options", {})
    if spec is None:
        return True
    if spec.kind == "recurrent" and "num_layers" in spec.init and recurrent_shape(spec, options) is None:
        # The analysis has the parameters of its first layer only.
        return False
    if any(".0." in name for name, _ in spec.parameters):
        return False
    needed = {part for _, condition in spec.parameters for part in condition.split(",") if part}
    return all(isinstance(value := options.get(part, _NOTHING), Host) and value.known for part in needed)


_NOTHING = Host("none", None)


def instances(facts: Facts) -> dict[ast.AST, Instance]:
    """The objects that expressions of the file are, as far as calls show it."""
    known: dict[ast.AST, Instance] | None = facts.memo.get("instances")
    if known is not None:
        return known
    found: dict[ast.AST, Value | None] = {}
    for node, records in facts.calls.items():
        for function, call, result in records[:4]:
            for part, value in _parts(node, function, call, result):
                # What is several things is none of them.
                found[part] = value if found.get(part, value) is value else None
    known = facts.memo["instances"] = {node: value for node, value in found.items() if isinstance(value, Instance)}
    return known


def _parts(node: ast.Call, function: Value, call: object, result: Value) -> Iterator[tuple[ast.AST, Value]]:
    yield node, result
    receiver = getattr(function, "receiver", None)
    if isinstance(function, Instance):
        yield node.func, function
    elif isinstance(receiver, Instance) and isinstance(node.func, ast.Attribute):
        yield node.func.value, receiver
    if not any(isinstance(argument, ast.Starred) for argument in node.args):
        yield from zip(node.args, getattr(call, "args", ()), strict=False)
    for keyword in node.keywords:
        if keyword.arg in getattr(call, "kwargs", {}):
            yield keyword.value, call.kwargs[keyword.arg]  # type: ignore[attr-defined]
