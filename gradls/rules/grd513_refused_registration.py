"""GRD513."""

import ast
from collections.abc import Iterable, Iterator

from gradls.autograd.modules import find_module
from gradls.flow.facts import Event, Facts
from gradls.flow.hierarchy import is_module, is_module_class, is_module_path, library_bases
from gradls.flow.values import (
    ITEMS,
    Bound,
    Class,
    Function,
    Host,
    Instance,
    Lib,
    Mapping,
    Sequence,
    Tensor,
    Value,
    is_none,
)
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity, TextEdit
from gradls.rules.rule import Rule
from gradls.rules.words import place

METHODS = frozenset((
    "add_module", "apply", "bfloat16", "buffers", "children", "compile", "cpu", "cuda", "double", "eval", "extra_repr",
    "float", "forward", "get_buffer", "get_extra_state", "get_parameter", "get_submodule", "half", "ipu",
    "load_state_dict", "modules", "mtia", "named_buffers", "named_children", "named_modules", "named_parameters",
    "parameters", "register_buffer", "register_forward_hook", "register_forward_pre_hook", "register_module",
    "register_parameter", "requires_grad_", "set_extra_state", "set_submodule", "share_memory", "state_dict", "to",
    "to_empty", "train", "training", "type", "xpu", "zero_grad",
))  # fmt: skip
"""Names that every module has already."""
OF_DICTIONARIES = frozenset(("clear", "items", "keys", "pop", "update", "values"))
"""Names that a ModuleDict has besides."""


class RefusedRegistration(Rule):
    """Something that a module cannot hold, or not under that name.

    ## What it finds
    A list, a function or a class given to `nn.Sequential`, `nn.ModuleList` or `nn.ModuleDict` where modules belong;
    keys of an `nn.ModuleDict` that are no strings, have a dot in them, or are names of its methods; `add_module` and
    `register_buffer` with such names, with a name that the module already has, or with a value of another kind.

    ## Why it matters
    Making the module raises.

    ## What PyTorch does
    It raises one of

        TypeError: list is not a Module subclass
        TypeError: torch.nn.functional.relu is not a Module subclass
        TypeError: ModuleList.__init__() takes from 1 to 2 positional arguments but 3 were given
        TypeError: module name should be a string. Got int
        KeyError: 'module name can\\'t contain ".", got: a.b'
        KeyError: "attribute 'mean' already exists"
        TypeError: cannot assign 'int' object to buffer 'count' (torch Tensor or None required)

    ## Example
    ```python
    import torch

    model = torch.nn.Sequential([torch.nn.Linear(3, 3), torch.nn.ReLU()])  # raises TypeError: list is not a Module
    ```

    ```python
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.relu)  # raises TypeError: is not a Module subclass
    ```

    ```python
    import torch


    class Scaler(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.mean = torch.zeros(3)
            self.register_buffer("mean", torch.zeros(3))  # raises KeyError: "attribute 'mean' already exists"


    scaler = Scaler()
    ```

    ## Use instead
    The layers one by one for `nn.Sequential` (`*` takes a list apart), a list for `nn.ModuleList`, objects of module
    classes in both, and the buffer without the attribute before it.

    ```python
    import torch

    layers = [torch.nn.Linear(3, 3), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers)
    heads = torch.nn.ModuleDict({"first": torch.nn.Linear(3, 1), "1": torch.nn.Linear(3, 2)})
    model.register_buffer("mean", torch.zeros(3))
    assert len(list(model.parameters())) == 2 and len(torch.nn.ModuleList(layers)) == 2 and "1" in heads
    ```

    ## When it is silent
    For `None`, which a container may hold, and for what the analysis does not know.

    ```python
    import torch
    from collections import OrderedDict

    model = torch.nn.Sequential(OrderedDict([("layer", torch.nn.Linear(3, 3)), ("act", torch.nn.ReLU())]))
    model.add_module("nothing", None)
    assert len(model) == 3
    ```

    ## Fix safety
    Safe: the star before a list, and the parentheses behind a class that needs no arguments.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.nn.Sequential.html
    - https://docs.pytorch.org/docs/stable/generated/torch.nn.ModuleDict.html
    - https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html#torch.nn.Module.register_buffer
    """

    code, name, severity = "GRD513", "refused-registration", Severity.ERROR

    def check(self, facts: Facts) -> Iterable[Finding]:
        seen: set[ast.AST] = set()
        for event in facts.of("container-filled", "register-module", "register-buffer"):
            if event.caught or event.at.node in seen:
                continue
            if event.kind == "container-filled":
                found = list(_of_container(event))
            else:
                found = list(_of_name(event, "buffer" if event.kind == "register-buffer" else "module"))
                found += _of_buffer(event) if event.kind == "register-buffer" else _of_module(event)
            if found:
                seen.add(event.at.node)
                yield self.finding(place(event.at), found[0], (), _fixes(event))


def _kind(container: Instance) -> str:
    return str(container.data.get("path", container.path)).rpartition(".")[2]


def _of_container(event: Event) -> Iterator[str]:
    """Why a container does not take what it is given."""
    container, call = event.value, event.call
    kind = _kind(container) if isinstance(container, Instance) else ""
    if call.unsure or kind not in ("Sequential", "ModuleList", "ModuleDict"):
        return
    if event.how == "set" and len(call.args) > 1:
        if kind == "ModuleDict":
            yield from _of_key(call.args[0])
        yield from _of_value(call.args[1])
    elif event.how == "append" and call.args:
        yield from _of_value(call.args[0])
    elif event.how == "init" and kind == "Sequential":
        yield from _of_layers(call.args)
    elif event.how == "init" and len(call.args) > 1:
        yield f"`{kind}` takes one argument, and raises: put the modules into a {_brackets(kind)}"
    elif event.how in ("init", "extend") and call.values:
        yield from _of_whole(kind, call.values[0])


def _brackets(kind: str) -> str:
    return "dictionary, `{...}`" if kind == "ModuleDict" else "list, `[...]`"


def _of_layers(layers: list[Value]) -> Iterator[str]:
    for layer in layers:
        if isinstance(layer, Mapping) and len(layers) == 1:
            if layer.fields.get("plain"):
                yield "`Sequential` takes an `OrderedDict`, and no plain dictionary: it raises"
        elif isinstance(layer, Sequence):
            yield (
                f"`Sequential` takes the layers one by one, and raises for {_article(layer.kind)}: put a `*` before it"
            )
        else:
            yield from _of_value(layer)


def _article(kind: str) -> str:
    return {"iterator": "an iterator", "view": "a view of a dictionary"}.get(kind, f"a {kind}")


def _of_whole(kind: str, given: Value) -> Iterator[str]:
    """What is wrong with the list or dictionary that a container is made of."""
    if isinstance(given, Instance) and is_module(given) is True and given.path and ITEMS not in given.fields:
        yield f"`{kind}` takes a {_brackets(kind)}, and raises for a single module"
    elif isinstance(given, Sequence) and given.kind != "view":
        for item in given.items:
            if kind == "ModuleDict" and isinstance(item, Instance) and is_module(item) is True:
                yield "`ModuleDict` takes a dictionary, and raises for a list of modules: each needs a name"
            elif kind != "ModuleDict":
                yield from _of_value(item)
    elif isinstance(given, Mapping):
        for key, item in given.entries.items() if kind == "ModuleDict" else ():
            yield from _of_key(Host(type(key).__name__, key))
            yield from _of_value(item)


def _of_value(value: Value) -> Iterator[str]:
    what = no_module(value)
    if what:
        yield f"{what} is no module, and this raises" + (
            "" if not isinstance(value, (Lib, Class)) or not what.endswith("itself") else ": call it, with `()`"
        )


def no_module(value: Value) -> str:
    """What a value is that a container of modules refuses; empty if it may be a module."""
    if isinstance(value, Lib):
        last = value.path.rpartition(".")[2]
        if not value.path.startswith("torch."):
            return ""
        if is_module_path(value.path) and find_module(value.path) is not None:
            return f"the class `{last}` itself"
        return f"the function `{last}`" if last.islower() and value.path.count(".") < 4 else ""
    if isinstance(value, Class):
        return f"the class `{value.name}` itself" if is_module_class(value) is True else ""
    if isinstance(value, Function):
        return "" if value.decorated else f"the function `{value.name}`" if value.name != "<lambda>" else "a lambda"
    if isinstance(value, Bound):
        return "a method" if value.function is not None and not value.function.decorated else ""
    if isinstance(value, Tensor):
        return "a parameter" if value.is_parameter else "a tensor"
    if isinstance(value, Sequence):
        return _article(value.kind)
    if isinstance(value, Mapping):
        return "a dictionary"
    if isinstance(value, Host) and value.known and not is_none(value):
        # Of others all that is known may be what a type hint says of an argument, and many a hint is wrong.
        return {"str": "a string", "int": "a number", "float": "a number", "bool": "a truth value"}.get(value.kind, "")
    if isinstance(value, Instance) and isinstance(value.cls, Class) and is_module(value) is False:
        # A class of a library may be a module in another way: `torch.jit.ScriptModule`.
        known = all(path.startswith("builtins.") for path in library_bases(value.cls))
        return f"an object of `{value.cls.name}`" if known else ""
    return ""


def _of_key(key: Value) -> Iterator[str]:
    """Why a ModuleDict refuses a key."""
    if isinstance(key, Host) and key.kind in ("int", "float", "bool", "tuple"):
        yield "the keys of a `ModuleDict` are strings, and it raises for others: write `str(...)`"
    elif isinstance(key, Host) and key.known and isinstance(key.value, str):
        if key.value in METHODS or key.value in OF_DICTIONARIES:
            yield f"a `ModuleDict` has an attribute `{key.value}` already, and raises for a key of that name"
        else:
            yield from _of_text(key.value, "module")


def _of_text(name: str, kind: str) -> Iterator[str]:
    if not name:
        yield f"the name of a {kind} is empty, and this raises"
    elif "." in name:
        yield f'the name "{name}" has a dot in it, which separates a module from its parts: this raises'


def _of_name(event: Event, kind: str) -> Iterator[str]:
    """Why a module refuses to register something under a name."""
    if isinstance(event.given, (Tensor, Instance)) or (isinstance(event.given, Host) and event.given.kind == "int"):
        yield f"the first argument is the name of the {kind}, a string: this raises"
    elif isinstance(event.name, str):
        yield from _of_text(event.name, kind)
        if event.name in METHODS and isinstance(event.value, Instance):
            yield f"a module has an attribute `{event.name}` already: this raises"
        elif event.taken is not None:
            yield f"the module has an attribute `{event.name}` already, and this raises: it is assigned before"


def _of_module(event: Event) -> Iterator[str]:
    yield from _of_value(event.assigned) if event.assigned is not None else ()


def _of_buffer(event: Event) -> Iterator[str]:
    value = event.assigned
    if (isinstance(value, Host) and value.kind in ("int", "float", "bool", "str")) or isinstance(
        value, (Sequence, Mapping)
    ):
        yield "a buffer is a tensor or None, and this raises for anything else: write `torch.tensor(...)`"


def _fixes(event: Event) -> list[Fix]:
    """A star before the one list, or the call of the one class."""
    node = event.at.node
    if event.kind != "container-filled" or event.how != "init" or not isinstance(node, ast.Call):
        return []
    source = event.at.source
    given = event.call.args
    if _kind(event.value) != "Sequential" or len(given) != len(node.args):  # type: ignore[arg-type]
        return []
    if len(given) == 1 and isinstance(given[0], Sequence) and not isinstance(node.args[0], ast.GeneratorExp):
        span = Place(source, node.args[0]).span
        edit = TextEdit(source.path, span, "*" + source.segment(node.args[0]))
        return [Fix("Take the list apart", Safety.SAFE, lambda: [edit])]
    classes = [index for index, value in enumerate(given) if isinstance(value, Lib) and no_module(value)]
    if len(classes) == 1:
        value = given[classes[0]]
        spec = find_module(value.path) if isinstance(value, Lib) else None
        if spec is not None and spec.kind == "activation" and all(name in dict(spec.defaults) for name in spec.init):
            build = edits.add_call(Place(source, node.args[classes[0]]), "()")
            return [Fix("Make the layer", Safety.SAFE, build)]
    return []
