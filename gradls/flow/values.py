"""The values of the abstract interpreter."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from gradls.flow.graph import At, Node, Storage, Write
from gradls.flow.paths import Path
from gradls.flow.state import MISSING, Entries, Fields, State

if TYPE_CHECKING:
    from gradls.flow.names import Names, Question
    from gradls.syntax.source import Source


class Value:
    """Anything that an expression can be."""

    __slots__ = ()


class Host(Value):
    """A Python number, string, None and the like. `value` is MISSING where only the kind is known; `node` is the
    history of a number that was read out of a tensor."""

    __slots__ = ("kind", "node", "value")

    def __init__(self, kind: str, value: Any = MISSING, node: Node | None = None) -> None:
        self.kind = kind
        self.value = value
        self.node = node

    @property
    def known(self) -> bool:
        return self.value is not MISSING

    def __repr__(self) -> str:
        return f"Host({self.kind}, {self.value!r})"


class MissingGrad(Host):
    """The None that `.grad` of `tensor` gives because no backward has filled it. `at` is where it was read, `cleared`
    where it was set to None."""

    __slots__ = ("at", "cleared", "tensor")

    def __init__(self, tensor: Tensor, at: At, cleared: At | None = None) -> None:
        super().__init__("none", None)
        self.tensor = tensor
        self.at = at
        self.cleared = cleared


class Nothing(Host):
    """The None of a call that never returns anything else. `made` is that call, `function` what it ran if that is a
    function of the program."""

    __slots__ = ("function", "made")

    def __init__(self, made: At, function: Function | None) -> None:
        super().__init__("none", None)
        self.made = made
        self.function = function


class Again(Host):
    """A remainder of a number that is not known, or what a comparison of it gives: of what counts the rounds of a loop,
    it comes back. `test` is where it was asked for."""

    __slots__ = ("test",)

    def __init__(self, kind: str, test: ast.AST, node: Node | None = None) -> None:
        super().__init__(kind, MISSING, node)
        self.test = test


def is_none(value: object) -> bool:
    """Is this None, by whatever way?"""
    return isinstance(value, Host) and value.kind == "none"


NONE = Host("none", None)
TRUE = Host("bool", True)
FALSE = Host("bool", False)


def host(value: Any, node: Node | None = None) -> Host:
    """The host value of a Python constant."""
    if value is None:
        return NONE
    if isinstance(value, bool):
        return TRUE if value else FALSE
    return Host(type(value).__name__, value, node)


LARGEST, LONGEST = 1 << 512, 10_000
MOST_ITEMS = 2000
ITEMS = "*items"
"""The field in which container modules keep what they hold: a sequence, or a mapping if it has names."""
"""A list that grows has no more items: the others are one that is unknown."""


def computed(value: Any, node: Node | None = None) -> Host:
    """The host value of something that was worked out here. Of what is huge only the kind is known: programs may make
    numbers and texts that no memory holds."""
    kind = type(value)
    if kind is int:
        huge = not -LARGEST < value < LARGEST
    else:
        huge = kind in (str, bytes, tuple) and len(value) > LONGEST
    return Host(kind.__name__, node=node) if huge else host(value, node)


_INTEGERS = ("integers",)
ESCAPED = ("*escaped",)
"""The slot of data that unknown code has: it may put more into it than a loader does."""
HOLDER = ("holder",)
"""The slot of an attribute that nobody has set, with the object of which it was read: it may be a method of that."""
FILLED = ("filled",)
"""The slot of data into which the program has put something that may require grad."""
REFUSED = ("refused",)
"""The slot of the node of integers that were to require grad. That raises: nothing behind it runs as it stands."""
OF_OPTIMIZER = ("of optimizer",)
"""Of a group of parameters, and of the list in it: the optimizer that has it."""
HELD, MORE = ("held",), ("more",)
"""The slots of an optimizer with the tensors that it is known to hold, and whether it may hold others."""
OVERWRITTEN = "overwritten"
"""The slot of a view that may not be told its new history, that says where the whole was written since."""


class Unknown(Value):
    """A value of which nothing is known but its identity. `fields` remembers its attributes and comparisons, so that
    the same question about it gets the same answer."""

    __slots__ = ("_plain", "_unrecorded", "among", "answer", "fields", "name", "origin", "question")

    def __init__(self, state: State, origin: str = "", name: str = "", question: Question | None = None) -> None:
        self.origin = origin
        self.name = name
        self.question = question
        self.answer: object = None
        self.among: tuple[Value, ...] = ()
        """Tensors and objects one of which it may be, by branch."""
        self._plain = False
        self._unrecorded = False
        self.fields = Fields(state)

    @property
    def plain(self) -> bool:
        """It is data from a loader, or was computed from such only: it carries no gradient."""
        return self._plain and FILLED not in self.fields

    @plain.setter
    def plain(self, is_so: bool) -> None:
        """For a new one only: others may have been looked at by then."""
        self._plain = is_so

    @property
    def was_quiet(self) -> bool:
        """Before anything was put into it, was it `plain` or `unrecorded`?"""
        return self._plain or self._unrecorded

    @property
    def unrecorded(self) -> bool:
        """If it is a tensor, it does not require grad: it was computed while gradients were off, or holds integers.
        Nothing is said of its attributes, nor of what calling it gives."""
        return (self._unrecorded and FILLED not in self.fields) or _INTEGERS in self.fields

    @unrecorded.setter
    def unrecorded(self, is_so: bool) -> None:
        """For a new one only: others may have been looked at by then."""
        self._unrecorded = is_so

    def holds_integers(self, state: State) -> None:
        """Note that if it is a tensor, it is one of integers."""
        state.set(self.fields, _INTEGERS, True)

    def __repr__(self) -> str:
        return f"Unknown({self.origin}:{self.name})"


class Imported(Unknown):
    """A name of another file of the program, until somebody looks at it, or that file itself, if `name` is empty.
    `module` is as the import statement says, in the file whose `names` these are."""

    __slots__ = ("loaded", "loading", "module", "names", "options")

    def __init__(self, state: State, module: str, name: str, names: Names) -> None:
        super().__init__(state, "import", name)
        self.module = module
        self.names = names
        self.loaded: Value | None = None
        self.loading = False
        self.options: tuple[Value, ...] = ()
        """By branch it is one of these, if there are any; `module` and `name` are those of the first imported one."""


class Tensor(Value):
    """A tensor. What operations may change is in `fields`: node (its grad_fn, in a wide sense), requires_grad, leaf,
    grad, retains_grad."""

    __slots__ = (
        "_family",
        "_storage",
        "base",
        "data",
        "dtype",
        "fields",
        "inference",
        "is_parameter",
        "multi",
        "name",
        "owner",
        "shape",
    )

    def __init__(
        self,
        state: State,
        node: Node,
        *,
        requires_grad: bool | None,
        leaf: bool | None,
        dtype: str | None = None,
        shape: tuple[int | None, ...] | None = None,
        storage: Storage | None = None,
        is_parameter: bool = False,
    ) -> None:
        self.fields = fields = Fields(state)
        fields["node"], fields["requires_grad"], fields["leaf"] = node, requires_grad, leaf
        self.dtype = dtype
        """float, int, bool, complex or None."""
        self.shape = shape
        self._storage = storage
        self.is_parameter = is_parameter
        self.name = ""
        self.base: Tensor | None = None
        """The tensor of which this is a view, for autograd."""
        self._family: Fields | None = None
        self.multi = ""
        """Why this view may not be written in place: the operation with several views as result (unbind, split, chunk)
        that made it, "expand", "backward_hook", "custom" (a custom Function gave it for its input), or the mode
        "no_grad" or "inference_mode" in which it was made."""
        self.inference = False
        self.data: Any = None
        """The tensor from which this one was cut or converted."""
        self.owner: Instance | None = None
        """The module whose parameter this is."""

    @property
    def has_storage(self) -> bool:
        """Has anybody asked for its memory? If not, nothing was written to it."""
        return self._storage is not None

    @property
    def writes(self) -> tuple[Write, ...]:
        """The in-place writes to its memory."""
        return () if self._storage is None else self._storage.fields["writes"]

    @property
    def hidden(self) -> tuple[Write, ...]:
        """Those to its memory that autograd does not see."""
        return () if self._storage is None else self._storage.fields.get("hidden", ())

    @property
    def storage(self) -> Storage:
        """Its memory."""
        if self._storage is None:
            self._storage = Storage(self.fields.born)
        return self._storage

    @storage.setter
    def storage(self, storage: Storage) -> None:
        self._storage = storage

    @property
    def has_views(self) -> bool:
        """Has anybody asked for its views?"""
        return self._family is not None

    @property
    def family(self) -> Fields:
        """`fields["views"]` are the tensors that are views of each other for autograd."""
        if self._family is None:
            self._family = Fields.of(self.fields.born, {"views": (self,)})
        return self._family

    @family.setter
    def family(self, family: Fields) -> None:
        self._family = family

    def shares(self, other: Tensor) -> bool:
        """Is its memory that of another tensor?"""
        return self._storage is other._storage and (self is other or self._storage is not None)

    @property
    def node(self) -> Node:
        return self.fields["node"]

    @property
    def requires_grad(self) -> bool | None:
        return self.fields["requires_grad"]

    @property
    def leaf(self) -> bool | None:
        return self.fields["leaf"]

    def __repr__(self) -> str:
        return f"Tensor({self.name or self.node}, requires_grad={self.requires_grad})"


def _for_several(value: Value | None) -> Value | None:
    """A value that stands for several elements: its tensors are no longer one and the same."""
    if isinstance(value, Tensor):
        value.node.several = True
    elif isinstance(value, Sequence):
        for item in value.items:
            if isinstance(item, Tensor):
                item.node.several = True
    return value


class Sequence(Value):
    """A list, tuple, set, range or iterator. `fields`: items (a tuple), rest (a value that stands for further ones of
    unknown number, or None), unsure (by branch, some of the items may be missing). `names` are those of a named
    tuple."""

    __slots__ = ("fields", "kind", "names")

    def __init__(
        self,
        state: State,
        kind: str,
        items: tuple[Value, ...] = (),
        rest: Value | None = None,
        names: tuple[str, ...] = (),
    ) -> None:
        self.kind = kind
        self.names = names
        self.fields = Fields(state, {"items": items, "rest": rest})

    @property
    def items(self) -> tuple[Value, ...]:
        return self.fields["items"]

    @property
    def rest(self) -> Value | None:
        return _for_several(self.fields["rest"])

    @property
    def whole(self) -> bool:
        """Are the items all that it holds, and certainly there?"""
        return self.fields["rest"] is None and not self.fields.get("unsure")

    @property
    def elements(self) -> tuple[Value, ...]:
        """One value for each known element, and the one that stands for the others."""
        return self.items if self.rest is None else (*self.items, self.rest)

    def __repr__(self) -> str:
        return f"{self.kind}{list(self.items)}{'...' if self.rest is not None else ''}"


class Mapping(Value):
    """A dictionary. `entries` are those with a known key; `fields["rest"]` stands for others of unknown keys,
    `fields["plain"]` says that it is a `dict` itself and no OrderedDict."""

    __slots__ = ("entries", "fields")

    def __init__(self, state: State, entries: dict[Any, Value] | None = None, rest: Value | None = None) -> None:
        self.fields = Fields(state, {"rest": rest})
        self.entries = Entries(state, entries, self.fields)

    @property
    def rest(self) -> Value | None:
        return _for_several(self.fields["rest"])

    @property
    def unsure(self) -> frozenset[Any]:
        """The keys in `entries` that, by branch, may be missing."""
        return self.fields.get("unsure", frozenset())

    @property
    def whole(self) -> bool:
        """Are the entries all that it holds, and certainly there?"""
        return self.fields["rest"] is None and not self.fields.get("unsure")


class Function(Value):
    """A function of the program. `scope` is where it was defined; `mode` the grad mode that a decorator gives it."""

    __slots__ = (
        "casts",
        "decorated",
        "defaults",
        "fields",
        "kind",
        "mode",
        "node",
        "owner",
        "scope",
        "source",
        "wrapped",
    )

    def __init__(
        self, state: State, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, scope: Any, source: Source
    ) -> None:
        self.node = node
        self.scope = scope
        self.source = source
        self.owner: Class | None = None
        self.defaults: dict[str, Value] = {}
        self.kind = ""
        """static, class, property or empty."""
        self.mode: tuple[bool | None, bool | None, At] | None = None
        self.decorated = False
        """A decorator that is not understood stands on it."""
        self.casts = False
        """A decorator may change the dtypes with which it computes (autocast)."""
        self.wrapped: Function | None = None
        """The function in the place of which a decorator of the program put this one."""
        self.fields = Fields(state)

    @property
    def written(self) -> Function:
        """The function that stands in the text where this one is found: this one, or the one that it wraps."""
        return self if self.wrapped is None else self.wrapped.written

    @property
    def name(self) -> str:
        return getattr(self.written.node, "name", "<lambda>")


class Class(Value):
    """A class of the program."""

    __slots__ = (
        "bases", "declarations", "fields", "libraries", "metaclass", "name", "node", "order", "scope", "sort", "source",
        "switches", "unknown_base", "uses",
    )  # fmt: skip

    def __init__(self, state: State, name: str, bases: tuple[Value, ...], node: ast.ClassDef, source: Source) -> None:
        self.name = name
        self.bases = bases
        self.node = node
        self.source = source
        self.fields = Fields(state)
        self.scope: Any = None
        self.uses: frozenset[str] | None = None
        self.declarations: dict[str, ast.expr] | None = None
        """What its text says, once somebody has asked (see `gradls.flow.class_text`)."""
        # What `gradls.flow.classes` works out from the bases, which never change.
        self.order: tuple[Value, ...] | None = None
        self.libraries: tuple[str, ...] | None = None
        self.sort: str = ""
        self.unknown_base: bool | None = None
        self.metaclass = False
        """It has a metaclass that may make more of it, and of its objects, than its text tells."""
        self.switches: bool | None = None

    def clear(self) -> None:
        """Let go of what leads back here."""
        self.order = None


class Lib(Value):
    """Something of a library, by its canonical full name."""

    __slots__ = ("fields", "path")

    def __init__(self, state: State, path: str) -> None:
        self.path = path
        self.fields = Fields(state)

    def __repr__(self) -> str:
        return f"Lib({self.path})"


class Instance(Value):
    """An object of a class of the program, or of a library's class that gradls has a model of. `data` is what that
    model keeps."""

    __slots__ = ("at", "cls", "data", "fields", "made", "name", "open")

    def __init__(self, state: State, cls: Class | Lib, at: At | None = None) -> None:
        self.cls = cls
        self.at = at
        self.made: Path | None = None
        """What was decided on the way to the call that gave it first."""
        self.fields = Fields(state)
        self.name = ""
        self.open = False
        """It may have attributes that the analysis did not see."""
        self.data: dict[str, Any] = {}

    @property
    def path(self) -> str:
        """The library class, or an empty string for a class of the program."""
        return self.cls.path if isinstance(self.cls, Lib) else ""

    def __repr__(self) -> str:
        return f"Instance({self.path or self.cls.name}, {self.name})"  # type: ignore[union-attr]


class Bound(Value):
    """A method looked up on a value: a function of the program, or the name of a method that has a model."""

    __slots__ = ("function", "name", "owner", "receiver")

    def __init__(self, receiver: Value, function: Function | None, name: str, owner: Value | None = None) -> None:
        self.receiver = receiver
        self.function = function
        self.name = name
        self.owner = owner


class Super(Value):
    """`super()`: looks attributes up behind `cls`."""

    __slots__ = ("cls", "receiver")

    def __init__(self, cls: Class | Lib, receiver: Value) -> None:
        self.cls = cls
        self.receiver = receiver


class Choice(Value):
    """One of a few values of different sorts, by branch. Of methods: `of` is the choice of objects that they are of.
    `by` says which value it is where (condition, what it was): where that is decided again, there is no choice left."""

    __slots__ = ("by", "of", "options")

    def __init__(self, options: tuple[Value, ...]) -> None:
        self.options = options
        self.of: Choice | None = None
        self.by: tuple[tuple[Value, object, Value], ...] = ()
