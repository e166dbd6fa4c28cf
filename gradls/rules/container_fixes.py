"""How layers in a plain list or dictionary are registered: by the container of PyTorch in its place, or beside it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from gradls.flow.facts import Event, Facts
from gradls.flow.hierarchy import is_module
from gradls.flow.registration import PlainContainer
from gradls.flow.values import Host, Instance, Mapping, Tensor, is_none
from gradls.flow.values import Sequence as Items
from gradls.rules import edits
from gradls.rules.finding import Fix, Place, Safety
from gradls.rules.registration import nn_prefix

_OWN_NAMES = frozenset((
    "add_module", "apply", "bfloat16", "buffers", "children", "clear", "compile", "copy", "cpu", "cuda", "double",
    "dump_patches", "eval", "extra_repr", "float", "forward", "fromkeys", "get", "get_buffer", "get_extra_state",
    "get_parameter", "get_submodule", "half", "ipu", "items", "keys", "load_state_dict", "modules", "mtia",
    "named_buffers", "named_children", "named_modules", "named_parameters", "parameters", "pop", "popitem",
    "register_backward_hook", "register_buffer", "register_forward_hook", "register_forward_pre_hook",
    "register_full_backward_hook", "register_full_backward_pre_hook", "register_load_state_dict_post_hook",
    "register_load_state_dict_pre_hook", "register_module", "register_parameter", "register_state_dict_post_hook",
    "register_state_dict_pre_hook", "requires_grad_", "set_extra_state", "set_submodule", "setdefault", "share_memory",
    "state_dict", "to", "to_empty", "train", "training", "type", "update", "values", "xpu", "zero_grad",
    "call_super_init", "T_destination",
))  # fmt: skip
"""What `nn.ModuleDict` and `nn.ParameterDict` have as attributes: no entry may have such a name."""

_MISSING = {
    "ModuleList": ("index", "remove", "sort", "reverse", "count", "copy", "clear"),
    "ParameterList": ("index", "remove", "sort", "reverse", "count", "copy", "clear", "insert", "pop"),
    "ModuleDict": ("get", "setdefault", "popitem", "copy", "fromkeys"),
    "ParameterDict": (),
}
"""Methods of a list or dictionary that these do not have."""

_FILLING = ("append", "extend", "insert", "update", "setdefault")


def takes_key(key: object) -> bool:
    """May an entry of `nn.ModuleDict` or `nn.ParameterDict` have this name?"""
    return isinstance(key, str) and key != "" and "." not in key and key not in _OWN_NAMES and key[:1] != "_"


def fixes_of(facts: Facts, module: Instance, container: PlainContainer, at: Event, use: str) -> Sequence[Fix]:
    """The fixes for a container that became an attribute of a module `at` a statement, by `nn.<use>` if it can be."""
    statement, prefix = facts.statement(at.at.node), nn_prefix(facts, module)
    if not prefix or not isinstance(statement, (ast.Assign, ast.AnnAssign)) or statement.value is None:
        return ()
    where = Place(at.at.source, statement.value)
    if container.nested:
        return _nested(facts, container, where, prefix)
    reads = facts.reads(container.name)
    misses = any(getattr(facts.parent(read), "attr", "") in _MISSING[use] for read in reads)
    if misses or not _fits(container):
        return _beside(facts, container, at, statement, f"{prefix}{use.replace('Dict', 'List')}")
    given = "" if _is_empty(statement.value) else facts.segment(statement.value)
    build = edits.replace_expression(where, f"{prefix}{use}({given})")
    return [Fix(f"Use {use}", Safety.SUGGESTED, build)]


def _fits(container: PlainContainer) -> bool:
    """Can the container of PyTorch hold all that is in this one, under the same names?"""
    value = container.value
    if isinstance(value, Mapping):
        return all(map(takes_key, value.entries)) and all(
            entry in container.members for entry in value.entries.values()
        )
    return not isinstance(value, Items) or all(
        part in container.members or not isinstance(part, (Host, Instance, Tensor)) or is_none(part)
        for part in value.elements
    )


def _beside(facts: Facts, container: PlainContainer, at: Event, statement: ast.stmt, use: str) -> Sequence[Fix]:
    """Register what is in the container under a name of its own, where it is complete at once."""
    target, value = at.at.node, getattr(statement, "value", None)
    owner = facts.segment(target.value) if isinstance(target, ast.Attribute) else ""
    if not owner or value is None or _is_empty(value) or any(_filled(facts, container.name)):
        return ()
    held = f"{owner}.{container.name}"
    items = f"{held}.values()" if isinstance(container.value, Mapping) else held
    if not _only_members(container):
        return ()
    new = f"{held.rstrip('_')}_registered"
    if facts.reads(new.rpartition(".")[2]):
        return ()
    build = edits.insert_after(Place(at.at.source, statement), f"{new} = {use}({items})")
    return [Fix(f"Register what is in it, too, with {use.rpartition('.')[2]}", Safety.SUGGESTED, build)]


def _only_members(container: PlainContainer) -> bool:
    value = container.value
    parts = value.entries.values() if isinstance(value, Mapping) else getattr(value, "elements", ())
    return all(part in container.members for part in parts)


def _filled(facts: Facts, name: str) -> Iterator[ast.AST]:
    """Where something is put into the attribute of this name."""
    for read in facts.reads(name):
        outer = facts.parent(read)
        fills = isinstance(outer, ast.Attribute) and outer.attr in _FILLING
        if outer is not None and (fills or (isinstance(outer, ast.Subscript) and isinstance(outer.ctx, ast.Store))):
            yield outer


def _is_empty(value: ast.expr) -> bool:
    if isinstance(value, ast.Call):
        return isinstance(value.func, ast.Name) and value.func.id in ("dict", "list") and not value.args
    return isinstance(value, (ast.List, ast.Dict)) and not ast.unparse(value).strip("[]{}")


def _nested(facts: Facts, container: PlainContainer, where: Place, prefix: str) -> Sequence[Fix]:
    """A container of PyTorch for a list or dictionary that is empty at first, and one for each that is put into it."""
    outer = "ModuleDict" if isinstance(container.value, Mapping) else "ModuleList"
    if isinstance(container.value, Mapping) and not all(map(takes_key, container.value.entries)):
        return ()
    if not isinstance(where.node, ast.expr) or not _is_empty(where.node):
        return ()
    builders = [edits.replace_expression(where, f"{prefix}{outer}()")]
    for filled in _filled(facts, container.name):
        literal = _put(facts, filled)
        use = _use_for(facts, literal) if literal is not None else ""
        if literal is None or not use:
            return ()
        new = f"{prefix}{use}({facts.segment(literal)})"
        builders.append(edits.replace_expression(Place(facts.source_of(literal), literal), new))
    if len(builders) == 1:
        return ()
    return [Fix(f"Use {outer}, also for what is in it", Safety.SUGGESTED, edits.together(*builders))]


def _put(facts: Facts, filled: ast.AST) -> ast.expr | None:
    """What `x.append(value)` or `x[key] = value` puts there, if that is a list or dictionary written out."""
    outer = facts.parent(filled)
    if isinstance(filled, ast.Attribute):
        fits = filled.attr == "append" and isinstance(outer, ast.Call) and len(outer.args) == 1
        value = outer.args[0] if fits and isinstance(outer, ast.Call) else None
    else:
        value = outer.value if isinstance(outer, ast.Assign) and outer.targets == [filled] else None
    return value if isinstance(value, (ast.List, ast.Dict)) else None


def _use_for(facts: Facts, literal: ast.expr) -> str:
    """The container of PyTorch that can hold what a list or dictionary is written with; empty if none is known to."""
    if isinstance(literal, ast.Dict):
        if not all(isinstance(key, ast.Constant) and takes_key(key.value) for key in literal.keys):
            return ""
        parts, ending = literal.values, "Dict"
    elif isinstance(literal, ast.List):
        parts, ending = literal.elts, "List"
    else:
        return ""
    results = [[result for _, _, result in facts.evaluations(part)] for part in parts]
    if not results or not all(results):
        return ""
    every = [result for found in results for result in found]
    if all(isinstance(result, Instance) and is_module(result) for result in every):
        return f"Module{ending}"
    return f"Parameter{ending}" if all(isinstance(result, Tensor) and result.is_parameter for result in every) else ""
