"""One value for what differs between branches."""

from __future__ import annotations

from collections.abc import Sequence as Values
from itertools import chain, islice, takewhile
from typing import TYPE_CHECKING, Any

from gradls.flow import hooks
from gradls.flow.elements import is_doubted
from gradls.flow.graph import HIDING, Edge, Node
from gradls.flow.hiding import is_not_followed
from gradls.flow.paths import Path
from gradls.flow.reach import flow_of, walk
from gradls.flow.readings import NUMBERS, numbers_read
from gradls.flow.state import MISSING
from gradls.flow.values import (
    HELD,
    ITEMS,
    OVERWRITTEN,
    Bound,
    Choice,
    Host,
    Imported,
    Instance,
    Lib,
    Mapping,
    Sequence,
    Tensor,
    Unknown,
    Value,
    is_none,
)
from gradls.flow.ways import Ways, remember, ways_of
from gradls.flow.wholes import LIKE, PART, common_element, common_expression

if TYPE_CHECKING:
    from gradls.flow.state import State

MOST_BEHIND = 10
"""So many unknown values that another one was computed from are looked at."""
MOST_OPTIONS = 6
MOST_KNOWN = 50
"""So many of the values that something unknown may be are remembered."""


_MOST_PARTS = 4
"""Of so many lists it is kept that one stands for them."""


class Join:
    """Joins the values of slots after branches."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.decided: list[tuple[Value, object]] = []
        """What each of the branches that are joined now has decided."""
        self.paths: list[Path | None] = []
        """The paths of these branches."""
        self._joined: list[Any] = []
        self._ways: Ways | None = None

    def slot(self, key: Any, values: list[Any]) -> Any:
        """The value of the slot `key` which is `values` by branch (at least two that are not identical)."""
        self._joined, self._ways = values if len(values) == len(self.paths) else [], None
        first = values[0]
        if key == "rest":
            present = [value for value in values if value is not None]
            return self.values(present) if present else None
        if key == ITEMS and any(isinstance(value, Sequence) for value in values):
            values = self._with_names(values)
        if isinstance(first, Value):
            return self.by_branch(values, self.decided) if None not in values else None
        if isinstance(first, Node):
            return self.nodes(values)
        if key in ("writes", "hidden"):
            return _union(values)
        if key == "items":
            return self.items(values)
        if key == HELD:
            # A group that is added on one way is there from then on, as far as that way is taken at all.
            return _union([value for value in values if value is not None])
        if isinstance(first, tuple) and key in ("views", "parameters", "freed", "entered", "copies", "wholes"):
            return _union(values)
        if key == OVERWRITTEN:
            return first if None not in values else None
        if key == "presumed":
            return any(values)
        if key == "filled":
            return min(values)
        if key == "unsure":
            return frozenset().union(*values) if isinstance(first, frozenset) else any(values)
        if key == ("kept",):
            return list(_union(values))
        if key in ("unhooked", "cleared") and type(first) is int:
            return max(values)
        if key in (hooks.HOOKS, hooks.BACKWARD):
            return hooks.joined(values)
        return first if all(value == first for value in values) else None

    def nodes(self, nodes: Values[Node]) -> Node:
        """A node that is one of `nodes`, by branch."""
        distinct = list(dict.fromkeys(nodes))
        if len(distinct) == 1:
            return distinct[0]
        edges: dict[Node | None, Values[Edge]] = {node: _edges_to(node, distinct) for node in distinct}
        before = self.state.before
        values = options(before) if isinstance(before, Value) else ()
        if not self.state.before_is_sure:
            # An entry that a test has put there: another test that leaves it alone may be the same.
            for node in map(_node_of, values):
                edges.update({node: [Edge(edge.node, None) for edge in edges[node]]} if node in edges else {})
        phi = Node(self.state, "phi", None, tuple(dict.fromkeys(chain(*edges.values()))), kind="phi")
        kept = [edge.node for value in values for edge in edges.get(_node_of(value), ())]
        if kept:
            phi.fields[KEPT] = frozenset(kept)
        if self.paths and self._joined:
            if self._ways is None:
                self._ways = ways_of(self._joined, self.paths)
            remember(phi, distinct, self._ways)
        # Which elements of a list of unknown length it is one of, nobody knows: two of them need not be the same.
        phi.several = any(node.several for node in distinct)
        scalars = {node.scalar for node in distinct}
        phi.scalar = scalars.pop() if len(scalars) == 1 else None
        return phi

    def by_branch(self, values: list[Value], decided: list[tuple[Value, object]]) -> Value:
        """A value that is one of `values`, one for each branch; a choice remembers what these have decided."""
        joined = self.values(values)
        if type(joined) is Choice and len(values) == len(decided) and joined not in values:
            joined.by = tuple((*how, value) for how, value in zip(decided, values, strict=True))
        return joined

    def on_paths(self, values: list[Value], paths: list[Path | None]) -> Value:
        """A value that is one of `values`, each where one of the paths is taken."""
        before = self.paths, self._joined, self._ways
        self.paths, self._joined, self._ways = paths, list(values), None
        decided = [(path[1], path[2]) for path in paths if path is not None and path[0] is None]
        joined = self.by_branch(values, [(subject, how) for subject, how in decided if isinstance(subject, Value)])
        self.paths, self._joined, self._ways = before
        return joined

    def values(self, values: Values[Value]) -> Value:
        """A value that is one of `values`, by branch."""
        first = values[0]
        flat = [first]
        for value in values:
            if value is not first or type(value) is Choice:
                for option in value.options if type(value) is Choice else (value,):
                    if option not in flat and not any(_same(option, other) for other in flat):
                        flat.append(option)
        if len(flat) == 1:
            return first
        if type(first) is Choice:
            del flat[0]
        unknown = next((value for value in flat if isinstance(value, Unknown)), None)
        if unknown is not None:
            imported = next((value for value in flat if type(value) is Imported and value.name), None)
            if imported is not None:
                # Nobody has looked at it, and it may be that nobody will.
                one = Imported(self.state, imported.module, imported.name, imported.names)
                one.options = tuple(flat)
                return one
            joined = Unknown(
                self.state, "branches" if any(_may_hide(value) for value in flat) else "either", unknown.name
            )
            joined.unrecorded = all(_is_quiet(value) for value in flat)
            joined.plain = all(isinstance(value, Unknown) and value.plain for value in flat)
            joined.among = _known_among(flat)
            read = tuple(number for value in flat for number in numbers_read(value))
            if read:
                joined.fields[NUMBERS] = read
            element = common_element(flat)
            if element is not None:
                joined.fields[PART] = element
            like = common_expression(flat)
            if like is not None:
                joined.fields[LIKE] = like
            return joined
        options = self._by_sort(flat)
        if len(options) == 1:
            return options[0]
        if len(options) > MOST_OPTIONS:
            return Unknown(self.state, "branches")
        return Choice(tuple(options))

    def _by_sort(self, values: list[Value]) -> list[Value]:
        """Those of one sort joined where that makes sense."""
        tensors = [value for value in values if isinstance(value, Tensor)]
        numbers = [value for value in values if isinstance(value, Host) and not is_none(value)]
        sequences = [value for value in values if isinstance(value, Sequence)]
        mappings = [value for value in values if isinstance(value, Mapping)]
        others = [
            value for value in values if not isinstance(value, (Tensor, Sequence, Mapping)) and value not in numbers
        ]
        joined: list[Value] = self._distributions(others)
        if tensors:
            joined.append(self.tensors(tensors))
        if numbers:
            joined.append(self.hosts(numbers))
        if sequences:
            joined.append(self.sequences(sequences))
        if mappings:
            joined.append(self.mappings(mappings))
        return joined

    def _distributions(self, values: list[Value]) -> list[Value]:
        """The values, with one distribution for all of the same class: it is what its parameters make it."""
        found: dict[tuple[str, int], list[Instance]] = {}
        rest: list[Value] = []
        for value in values:
            if (
                isinstance(value, Instance)
                and value.path.startswith("torch.distributions.")
                and "sources" in value.data
            ):
                found.setdefault((value.path, len(value.data["sources"])), []).append(value)
            else:
                rest.append(value)
        for group in found.values():
            joined = group[-1]
            if len(group) > 1:
                joined = Instance(self.state, joined.cls, joined.at)
                parameters = zip(*(one.data["sources"] for one in group), strict=True)
                joined.data["sources"] = [self.values(parts) for parts in parameters]
            rest.append(joined)
        return rest

    def tensors(self, tensors: Values[Tensor]) -> Tensor:
        if len(tensors) == 1:
            return tensors[0]
        first = tensors[0]
        joined = Tensor(
            self.state,
            self.nodes([tensor.node for tensor in tensors]),
            requires_grad=_agree([tensor.requires_grad for tensor in tensors]),
            leaf=_agree([tensor.leaf for tensor in tensors]),
            dtype=_agree([tensor.dtype for tensor in tensors]),
            shape=_agree([tensor.shape for tensor in tensors]),
            storage=first.storage if all(tensor.shares(first) for tensor in tensors) else None,
            is_parameter=all(tensor.is_parameter for tensor in tensors),
        )
        joined.name = first.name if all(tensor.name == first.name for tensor in tensors) else ""
        joined.fields["exact"] = _agree([tensor.fields.get("exact") for tensor in tensors])
        parts = dict.fromkeys(part for tensor in tensors for part in tensor.fields.get("parts", (tensor,)))
        joined.fields["parts"] = tuple(parts)[:MOST_KNOWN]
        for part in joined.fields["parts"]:
            self.state.set(part.fields, "wholes", (*part.fields.get("wholes", ())[-_MOST_PARTS:], joined))
        if "integers" in first.fields:
            joined.fields["integers"] = _agree([tensor.fields.get("integers") for tensor in tensors])
        joined.inference = all(tensor.inference for tensor in tensors)
        if all("of" in tensor.fields for tensor in tensors):
            joined.fields["of"] = first.fields["of"]
            joined.fields["filled"] = min(tensor.fields.get("filled", 0) for tensor in tensors)
        for name in ("retains_grad", "*escaped", "presumed"):
            if any(tensor.fields.get(name) for tensor in tensors):
                joined.fields[name] = True
        return joined

    def hosts(self, hosts: Values[Host]) -> Host:
        if len(hosts) == 1:
            return hosts[0]
        kinds = {value.kind for value in hosts}
        kind = kinds.pop() if len(kinds) == 1 else "number" if kinds <= {"int", "float", "number"} else "object"
        nodes = [value.node for value in hosts if value.node is not None]
        return Host(kind, MISSING, self.nodes(nodes) if nodes else None)

    def sequences(self, sequences: Values[Sequence]) -> Value:
        if len(sequences) == 1:
            return sequences[0]
        first = sequences[0]
        kind = first.kind if all(other.kind == first.kind for other in sequences) else "list"
        items, rest = self._elements([(one.items, one.rest) for one in sequences])
        # Of different named tuples those fields are known that all have at the same place.
        same = (len(set(names)) == 1 for names in zip(*(one.names for one in sequences), strict=False))
        names = first.names[: sum(1 for _ in takewhile(bool, same))]
        joined = Sequence(self.state, kind, items, rest, names)
        if any(is_doubted(one) for one in sequences):
            joined.fields["unsure"] = True
        # What is put into it later is put into one of these. Of lists that were joined before, that is not kept.
        known = kind in ("list", "set") and len(sequences) <= _MOST_PARTS
        if known and not any("parts" in one.fields for one in sequences):
            joined.fields["parts"] = tuple(sequences)
        return joined

    def items(self, values: list[tuple[Value, ...]]) -> tuple[Value, ...]:
        """The elements of one list that branches changed differently: what all have, and then what some have."""
        longest = max(values, key=len)
        head = [parts[0] if _are_one(parts) else self.values(parts) for parts in zip(*values, strict=False)]
        return (*head, *longest[len(head) :])

    def _elements(self, parts: list[tuple[tuple[Value, ...], Value | None]]) -> tuple[tuple[Value, ...], Value | None]:
        length = min(len(items) for items, _ in parts)
        head = tuple(self.values([items[index] for items, _ in parts]) for index in range(length))
        tail = [item for items, rest in parts for item in (*items[length:], *([rest] if rest is not None else []))]
        return head, self.values(tail) if tail else None

    def _with_names(self, contents: list[Any]) -> list[Any]:
        """What branches put into a container, each with names if any has names: `model[0] = ...`, `setattr`."""
        if not any(isinstance(one, Mapping) for one in contents):
            return contents
        return [self._named(one) if isinstance(one, Sequence) else one for one in contents]

    def _named(self, contents: Sequence) -> Mapping:
        found = Mapping(self.state, {str(number): item for number, item in enumerate(contents.items)}, contents.rest)
        if is_doubted(contents):
            found.fields["unsure"] = frozenset(found.entries)
        return found

    def mappings(self, mappings: Values[Mapping]) -> Mapping:
        if len(mappings) == 1:
            return mappings[0]
        entries: dict[Any, list[Value]] = {}
        rests = [one.rest for one in mappings if one.rest is not None]
        for one in mappings:
            for key, value in one.entries.items():
                entries.setdefault(key, []).append(value)
        joined = Mapping(
            self.state,
            {key: self.values(values) for key, values in entries.items()},
            self.values(rests) if rests else None,
        )
        unsure = {key for one in mappings for key in one.unsure}
        unsure.update(key for key, values in entries.items() if len(values) < len(mappings))
        if unsure:
            joined.fields["unsure"] = frozenset(unsure)
        last = _union([one.fields.get("behind") or () for one in mappings])
        if last:
            joined.fields["behind"] = last
        # What is put into it later is put into one of these.
        parts = dict.fromkeys(part for one in mappings for part in one.fields.get("parts", (one,)))
        joined.fields["parts"] = tuple(parts)[:MOST_KNOWN]
        for part in joined.fields["parts"]:
            self.state.set(part.fields, "wholes", (*part.fields.get("wholes", ())[-_MOST_PARTS:], joined))
        return joined


KEPT = "kept"
"""Those, among the nodes that another one is by branch, of the branch on which nothing was assigned."""


def _edges_to(node: Node, others: Values[Node]) -> Values[Edge]:
    """The edges to one of the nodes that a value is by branch.

    What one test has left as it was, and then another one, may be left by nobody: tests that the analysis cannot decide
    may depend on each other, as `kind == 1` and `kind == 2` do where there is no third kind.
    """
    kept: frozenset[Node] | None = node.get(KEPT) if node.kind == "phi" else None
    if kept is None or not kept.isdisjoint(others):
        return (Edge(node, flow_of(node)),)
    return tuple(Edge(edge.node, None) if edge.node in kept and edge.flows else edge for edge in node.edges)


def _node_of(value: Value) -> Node | None:
    return value.node if isinstance(value, Tensor) else None


def options(value: Value) -> tuple[Value, ...]:
    """The values that `value` may be."""
    return value.options if isinstance(value, Choice) else (value,)


def _may_hide(value: Value) -> bool:
    """May something that the analysis has seen be in this?"""
    if not isinstance(value, Unknown):
        return not isinstance(value, (Host, Lib))
    root = value.fields.get(("node",))
    if value.origin in HIDING or root is None:
        return value.origin in HIDING
    behind = list(islice(walk(root, follow="maybe"), MOST_BEHIND + 1))
    return len(behind) > MOST_BEHIND or any(
        node.kind != "opaque" or node.op in HIDING or is_not_followed(node) for node in behind
    )


def _is_quiet(value: Value) -> bool:
    """Is it certain that this is no tensor that requires grad?"""
    if isinstance(value, Unknown):
        return value.plain or value.unrecorded
    return isinstance(value, Host) or (isinstance(value, Tensor) and value.requires_grad is False)


def _agree(values: list[Any]) -> Any:
    return values[0] if all(value is values[0] or value == values[0] for value in values) else None


def _are_one(values: Values[Value]) -> bool:
    return values.count(values[0]) == len(values)


def _known_among(values: list[Value]) -> tuple[Value, ...]:
    found: dict[Value, None] = {}
    for value in values:
        if isinstance(value, Unknown):
            found.update(dict.fromkeys(value.among))
        elif isinstance(value, (Tensor, Instance)):
            found[value] = None
    return tuple(found)[:MOST_KNOWN]


def _same(one: Value, other: Value) -> bool:
    """Are these one and the same, though they are two objects here?"""
    if isinstance(one, Host):
        return (
            isinstance(other, Host)
            and one.kind == other.kind
            and one.value is not MISSING
            and other.value is not MISSING
            and one.value == other.value
            and one.node is other.node
        )
    if type(one) is Lib:
        return type(other) is Lib and one.path == other.path and ("some" in one.fields) == ("some" in other.fields)
    if type(one) is Bound:
        return type(other) is Bound and one.receiver is other.receiver and one.name == other.name
    return False


def _union(values: list[Any]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(item for value in values for item in value))
