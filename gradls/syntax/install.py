"""New units take the place of old ones; what has not changed stays the same node."""

from __future__ import annotations

import ast
from collections.abc import Hashable, Sequence
from operator import is_
from typing import NamedTuple

from gradls.syntax.gaps import fill
from gradls.syntax.layout import SLACK, Layout
from gradls.syntax.match import UNKNOWN, Version, follow, same, same_header
from gradls.syntax.parse import SyntaxProblem
from gradls.syntax.text import changed
from gradls.syntax.units import FUNCTIONS, Family, Unit


class Touched(NamedTuple):
    """What a change touches: units by index, and what their lines were, from index `start` on. The new lines end at
    index `end`; what comes behind them has moved by `shift`."""

    units: range
    past: list[str]
    start: int
    end: int
    shift: int


NOTHING = Touched(range(0), [], 0, 0, 0)


class Installer:
    """What one edit does to the units and the tree of a layout."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.touched = NOTHING
        self._blocks: dict[ast.AST, None] = {}
        self.reworded: list[ast.AST] = []
        """What means the same in other words: statements of the module, and members of its classes."""
        self._families: dict[Family, None] = {}
        self._old_body = layout.tree.body
        self._range = (0, 0)
        self._reused = False

    def reserve(self, i: int, j: int, count: int) -> int:
        """A number for the first of `count` lines that are to be parsed in the place of the units from `i` to `j`."""
        units = self.layout.units
        # The first line of a text has number 1, which members of a class cannot have.
        self._reused = j == i + 1 and count <= units[i].room and units[i].base > 1
        if self._reused:
            self._range = units[i].base, units[i].room
        else:
            self._range = self.layout.ranges.take(count + SLACK), count + SLACK
        return self._range[0]

    def release(self) -> None:
        """The lines did not parse."""
        if not self._reused:
            self.layout.ranges.give(*self._range)

    def install(self, i: int, j: int, drafts: Sequence[Unit]) -> list[Unit]:
        """Put `drafts`, parsed at the number that was reserved last, in the place of the units from `i` to `j`.

        The units that are there now.
        """
        layout, units = self.layout, self.layout.units
        old = units[i:j]
        layout.remove(old)
        give = layout.ranges.give
        if drafts:
            base, room = self._range
            give(base, drafts[0].base - base)
            drafts[-1].room = base + room - drafts[-1].base
        chosen = self._match(old, drafts, i)
        made = [draft for draft in drafts if draft not in chosen]
        final, reworded = [], []
        for draft in drafts:
            unit = chosen.get(draft, draft)
            if unit in self._same_text:
                give(draft.base, draft.room)
            elif unit is not draft:
                self.reworded += unit.nodes
                reworded.append(unit)
                if not self._reused:
                    give(unit.base, unit.room)
                unit.size, unit.base, unit.room, unit.known = draft.size, draft.base, draft.room, None
                unit.flaws, unit.before, unit.reach = draft.flaws, draft.before, draft.reach
            unit.at = draft.at
            final.append(unit)
        kept = set(final)
        gone = [unit for unit in old if unit not in kept]
        if not (drafts and self._reused):
            for unit in gone:
                give(unit.base, unit.room)
        units[i:j] = final
        layout.add(final)
        layout.forget(gone)
        layout.learn(made)
        layout.forget(reworded)
        layout.learn(reworded)
        self._refresh(i, i + len(final))
        return final

    def keep(self, unit: Unit, flaws: list[SyntaxProblem]) -> None:
        """A broken unit has the nodes that it had; what it is that is broken may be something else."""
        self.layout.remove([unit])
        unit.flaws, unit.known = flaws, None
        self.layout.add([unit])
        self.reworded += unit.nodes

    def finish(self) -> tuple[ast.AST, ...]:
        """The nodes that were there before and have another body now."""
        layout = self.layout
        if self._blocks:
            layout.known.clear()
            for family in self._families:
                family.known.clear()
        layout.close_classes(self._families)
        if layout.ranges.end > 3 * len(layout.lines) + 2000:
            layout.renumber()
        return tuple(node for node in self._blocks if self._was_there(node))

    def _was_there(self, node: ast.AST) -> bool:
        """Whether it still is, and if it is a class was there before."""
        if isinstance(node, ast.ClassDef) and not any(node is each for each in self._old_body):
            return False
        unit = self.layout.unit_of(node)
        return unit is None or any(node is each for each in unit.nodes)

    def _refresh(self, i: int, end: int) -> None:
        """Give the classes and the module around the units from `i` to `end` the list of their statements."""
        layout, units = self.layout, self.layout.units
        seen: set[Family | None] = {None}
        start = max(i - 1, 0)
        for index, unit in enumerate(units[start : end + 1], start):
            family = unit.family
            if family is None or family in seen:
                continue
            seen.add(family)
            self._families[family] = None
            members = layout.members(family, index)
            if not members:
                members = _placeholder(family.node)
            if not _are(members, family.node.body):
                family.node.body = members
                self._blocks[family.node] = None
        body = [node for unit in units if unit.family is None or unit.head for node in unit.nodes]
        if not _are(body, layout.tree.body):
            layout.tree.body = body
            self._blocks[layout.tree] = None

    def _match(self, old: Sequence[Unit], drafts: Sequence[Unit], i: int) -> dict[Unit, Unit]:
        """For drafts that are what an old unit was, that unit."""
        self._same_text: set[Unit] = set()
        chosen: dict[Unit, Unit] = {}
        texts = {unit: self._old_lines(index) for index, unit in enumerate(old, i)}
        left = self._classes(old, drafts, texts, chosen)
        drafts = [draft for draft in drafts if draft not in chosen and not draft.head]
        if not self._reused:
            by_text: dict[Hashable, list[Unit]] = {}
            for unit in reversed(left):
                if not unit.flaws:
                    by_text.setdefault((unit.family, *texts[unit]), []).append(unit)
            for draft in drafts:
                found = by_text.get((draft.family, *self._lines(draft))) if not draft.flaws else None
                if found:
                    chosen[draft] = unit = found.pop()
                    self._same_text.add(unit)
            drafts = [draft for draft in drafts if draft not in chosen]
            left = [unit for unit in left if unit not in self._same_text]
        by_key: dict[Hashable, list[Unit]] = {}
        for unit in reversed(left):
            by_key.setdefault(_key(unit.family, unit.nodes), []).append(unit)
        differ: set[tuple[ast.stmt, ast.stmt]] = set()
        for draft in drafts:
            units = by_key.get(_key(draft.family, draft.nodes))
            if units and self._pair(units[-1], draft, texts[units[-1]]):
                chosen[draft] = units.pop()
            elif units and draft.nodes:
                differ.add((units[-1].nodes[0], draft.nodes[0]))
        drafts = [draft for draft in drafts if draft not in chosen]
        self._nodes([unit for units in by_key.values() for unit in units], drafts, differ)
        return chosen

    def _pair(self, unit: Unit, draft: Unit, text: list[str]) -> bool:
        """Whether a unit is what a draft is."""
        old, new = _filled(unit, text), _filled(draft, self._lines(draft))
        version = Version.of(changed(old, new), unit.base, draft.base)
        if not same(unit.nodes, draft.nodes, version):
            return False
        # Columns in a gap have been moved to where the text has any.
        version = UNKNOWN if unit.flaws else version
        for node, new_node in zip(unit.nodes, draft.nodes, strict=True):
            follow(node, new_node, version)
        return True

    def _nodes(self, left: Sequence[Unit], drafts: Sequence[Unit], differ: set[tuple[ast.stmt, ast.stmt]]) -> None:
        """Let drafts have the nodes of what is left: functions of which only the body differs, and more where
        statements have come to share lines, or do no longer. `differ` is known to."""
        by_key: dict[Hashable, list[ast.stmt]] = {}
        for unit in reversed(left):
            for node in reversed(unit.nodes):
                by_key.setdefault(_key(unit.family, [node]), []).append(node)
        for draft in drafts:
            for index, new_node in enumerate(draft.nodes):
                nodes = by_key.get(_key(draft.family, [new_node]))
                if not nodes:
                    continue
                node = nodes[-1]
                if (node, new_node) not in differ and same([node], [new_node], UNKNOWN):
                    follow(node, new_node, UNKNOWN)
                    self.reworded.append(node)
                elif isinstance(node, FUNCTIONS) and isinstance(new_node, FUNCTIONS) and same_header(node, new_node):
                    follow(node, new_node, UNKNOWN, header=True)
                    node.body = new_node.body
                    self._blocks[node] = None
                else:
                    continue
                draft.nodes[index] = nodes.pop()

    def _old_lines(self, index: int) -> list[str]:
        """The lines that the unit at an index was made from."""
        unit, touched = self.layout.units[index], self.touched
        if index in touched.units:
            return touched.past[unit.at - touched.start : unit.end - touched.start]
        return self.layout.lines[unit.at : unit.end]

    def _lines(self, draft: Unit) -> list[str]:
        return self.layout.lines[draft.at : draft.end]

    def _classes(
        self, old: Sequence[Unit], drafts: Sequence[Unit], texts: dict[Unit, list[str]], chosen: dict[Unit, Unit]
    ) -> list[Unit]:
        """Let drafts of classes have the nodes of old ones; what is left of the old units."""
        olds, news = [unit for unit in old if _is_class(unit)], [draft for draft in drafts if _is_class(draft)]
        if not olds or not news:
            return [unit for unit in old if not unit.head]
        by_name: dict[str, list[Unit]] = {}
        for unit in reversed(olds):
            by_name.setdefault(_class_of(unit).name, []).append(unit)
        pairs = [(found.pop(), draft) for draft in news if (found := by_name.get(_class_of(draft).name))]
        if not pairs and len(olds) == 1 == len(news):
            pairs = [(olds[0], news[0])]
        for unit, draft in pairs:
            if self._class(unit, draft, drafts, texts[unit]):
                chosen[draft] = unit
        paired = {unit for unit, _ in pairs}
        return [unit for unit in old if not unit.head and unit not in paired]

    def _class(self, unit: Unit, draft: Unit, drafts: Sequence[Unit], text: list[str]) -> bool:
        """Whether a class, with its body, is one unit before and now and means the same."""
        node, new_node = _class_of(unit), _class_of(draft)
        family, made = unit.family, draft.family
        kept = same_header(node, new_node)
        if family is None and made is None and self._pair(unit, draft, text):
            return True
        if kept:
            follow(node, new_node, UNKNOWN, header=True)
            draft.nodes = [node]
            if made is None:
                node.body = new_node.body
                self._blocks[node] = None
            else:
                made.node = node
        if family is not None and made is not None:
            for each in drafts:
                if each.family is made:
                    each.family = family
            family.level, family.indent = made.level, made.indent
            if family.node is not made.node:
                family.node = made.node
                for each in self.layout.units:
                    if each.family is family:
                        each.parents = None
        return False


def _key(family: Family | None, nodes: Sequence[ast.stmt]) -> Hashable:
    """What statements are to have in common with others to be compared with them."""
    if len(nodes) != 1:
        return family, len(nodes)
    node = nodes[0]
    name: Hashable = getattr(node, "name", None)
    if isinstance(node, ast.Assign):
        target = node.targets[0]
        name = getattr(target, "id", getattr(target, "attr", None))
    elif isinstance(node, (ast.Import, ast.ImportFrom)):
        name = tuple((alias.name, alias.asname) for alias in node.names)
    return family, node.__class__, name


def _filled(unit: Unit, lines: list[str]) -> list[str]:
    return fill(lines, [flaw.gap for flaw in unit.flaws if flaw.gap is not None]) if unit.flaws else lines


def _is_class(unit: Unit) -> bool:
    alone = unit.family is None and len(unit.nodes) == 1 and isinstance(unit.nodes[0], ast.ClassDef)
    return unit.head or alone


def _class_of(unit: Unit) -> ast.ClassDef:
    node = unit.nodes[0]
    assert isinstance(node, ast.ClassDef)
    return node


def _placeholder(node: ast.ClassDef) -> list[ast.stmt]:
    """The body of a class none of whose members could be read."""
    if len(node.body) == 1 and isinstance(node.body[0], ast.Pass):
        return node.body
    made = ast.Pass()
    made.lineno = made.end_lineno = node.lineno
    made.col_offset = made.end_col_offset = node.col_offset
    return [made]


def _are(nodes: Sequence[ast.stmt], others: Sequence[ast.stmt]) -> bool:
    return len(nodes) == len(others) and all(map(is_, nodes, others))
