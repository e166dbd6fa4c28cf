"""From a session and a line to a picture."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from gradls.explain.lenses import backward_title
from gradls.explain.names import Names
from gradls.explain.reach import scores
from gradls.flow.facts import Facts
from gradls.flow.graph import At
from gradls.flow.values import Tensor
from gradls.picture import words
from gradls.picture.choose import NothingToDraw, Subject, choose
from gradls.picture.fold import MOST_BOXES, fold
from gradls.picture.model import Arrow, Box, Picture, State, listed, plural
from gradls.picture.places import Places
from gradls.picture.sketch import Piece
from gradls.picture.trace import Parameters, trace
from gradls.rules.finding import Finding
from gradls.workspace.session import Session

MOST_SPOTS = 12


def picture(session: Session, path: str, line: int, most: int = MOST_BOXES, numbers: Sequence[int] = ()) -> Picture:
    """The gradient picture for the 1-based `line` of the open file `path`, in at most `most` boxes. `numbers` are those
    of a notebook's code cells among all its cells, if these are known.

    NothingToDraw, with a sentence for the user, where there is none.
    """
    facts = session.facts(path)
    places = Places(numbers)
    subject = choose(facts, line, places)
    sketch, parameters = trace(facts, subject)
    fold(facts, sketch, most)
    pieces = sorted(sketch.inputs, key=lambda piece: (piece.index, piece.label))
    if len(pieces) == 1:
        raise NothingToDraw(f"nothing goes into `{_title(facts, subject)}` that could have a gradient")
    names = {piece: f"n{number}" for number, piece in enumerate(pieces, 1)}
    teller = _Teller(facts, subject, parameters, session.findings(path), places)
    return Picture(
        _title(facts, subject),
        tuple(_summary(facts, subject, parameters, pieces, places)),
        places.spot(subject.at),
        tuple(teller.box(piece, names[piece]) for piece in pieces),
        tuple(
            Arrow(names[start], names[end], gradient)
            for end in pieces
            for start, gradient in sorted(sketch.inputs[end].items(), key=lambda item: item[0].index)
        ),
    )


def _title(facts: Facts, subject: Subject) -> str:
    if subject.function:
        return f"what {subject.function}() returns"
    return words.one_line(facts.segment(subject.at.node), 60)


class _Teller:
    """Says what boxes are."""

    def __init__(
        self, facts: Facts, subject: Subject, parameters: Parameters, findings: Sequence[Finding], places: Places
    ) -> None:
        self.places = places
        self.parameters = parameters
        self.facts = facts
        self.subject = subject
        self.findings: dict[ast.AST, list[str]] = {}
        for finding in findings:
            self.findings.setdefault(finding.place.node, []).append(finding.message)

    def box(self, piece: Piece, name: str) -> Box:
        ats = self._ats(piece)
        count = len(piece.leaves) if piece.kind == "parameters" else len(piece.nodes) or 1
        state: State = piece.state
        if piece.kind == "end":
            state = "none"
        label, note = getattr(self, f"_{piece.kind}")(piece)
        return Box(
            name,
            piece.kind,
            state,
            words.one_line(label, words.MOST_LABEL + 12),
            note,
            words.one_line(self.facts.segment(ats[0].node), words.MOST_TEXT) if ats else "",
            count,
            tuple(dict.fromkeys(map(self.places.spot, ats)))[:MOST_SPOTS],
            tuple(dict.fromkeys(message for at in ats for message in self.findings.get(at.node, ()))),
        )

    def _ats(self, piece: Piece) -> list[At]:
        if piece.kind == "end":
            return [self.subject.at]
        found = {}
        for node in piece.nodes:
            at = node.cut.at if piece.kind == "cut" and node.cut is not None else node.at
            if at is not None:
                found[at.node] = at
        return list(found.values())

    def _where(self, piece: Piece) -> str:
        ats = self._ats(piece)
        if not ats:
            return ""
        name = "" if ats[0].source is self.facts.source else f"{ats[0].source.path.rpartition('/')[2]} "
        lines = [at.source.line(at.node) for at in ats if at.source is ats[0].source]
        return name + self.places.lines(ats[0].source, lines if piece.kind != "end" else lines[:1])

    def _end(self, piece: Piece) -> tuple[str, str]:
        if self.subject.function:
            return f"{self.subject.function}() returns", self._where(piece)
        return words.one_line(self.facts.segment(self.subject.at.node), words.MOST_LABEL), self._where(piece)

    def _operation(self, piece: Piece) -> tuple[str, str]:
        node = piece.nodes[0]
        notes = []
        if piece.folded:
            names = list(dict.fromkeys(words.short(node) for node in piece.nodes))
            label = listed(names, 3) if len(names) > 1 else names[0]
            notes.append(plural(len(piece.nodes), "operation"))
        else:
            label = words.operation(node, piece.owner)
            if piece.rounds:
                notes.append("each round" if node.layer is None else f"{len(piece.nodes)} times")
        notes.append(self._where(piece))
        if piece.leaves:
            notes.insert(0, self._owned(piece, "reached"))
        elif piece.asked:
            notes.insert(0, "✓ its gradient is asked for")
        elif piece.state == "none":
            notes.append("no gradient")
        elif piece.state == "unknown":
            notes.append("?")
        elif any(node.zero for node in piece.nodes):
            notes.append("its gradient is 0")
        return label, " · ".join(filter(None, notes))

    def _cut(self, piece: Piece) -> tuple[str, str]:
        why = words.CUTS.get(piece.cut, "gradient ends here")
        if piece.folded:
            label = plural(len(piece.nodes), "cut")
        elif piece.label:
            label = piece.label
            if piece.cut == "no_grad":
                why = "computed with gradients off"
        elif piece.cut == "no_grad":
            names = list(dict.fromkeys(words.short(node) for node in piece.nodes))
            label = f"no_grad: {listed(names, 2)}"
        else:
            label = words.written(piece.nodes[0])
        return f"✂ {label}", f"{why} · {self._where(piece)}"

    def _parameters(self, piece: Piece) -> tuple[str, str]:
        leaves = list(piece.leaves)
        if piece.owner:
            label = ".".join(piece.owner)
        else:
            label = listed([_name_of(leaf) for leaf in leaves], 2)
        return label, self._owned(piece, piece.state)

    def _owned(self, piece: Piece, state: State) -> str:
        or_more = not self.parameters.several.isdisjoint(piece.leaves)
        word = "parameter" if any(leaf.is_parameter for leaf in piece.leaves) else "tensor"
        return words.owned(state, len(piece.leaves), or_more, word)

    def _input(self, piece: Piece) -> tuple[str, str]:
        node = piece.nodes[0]
        label = piece.label or node.name or node.label or node.op
        if piece.owner:
            return label, f"computed by {listed(piece.owner)}"
        if piece.state == "none":
            return label, "data, needs no gradient"
        if node.op == "argument":
            return label, "argument, gradient not known"
        return label, "not known what this is"


def _name_of(leaf: Tensor) -> str:
    return leaf.name or leaf.node.name or leaf.node.op


def _summary(
    facts: Facts, subject: Subject, parameters: Parameters, pieces: Sequence[Piece], places: Places
) -> list[str]:
    """What the picture shows, in sentences."""
    reached, unknown = parameters.of("reached"), parameters.of("unknown")
    all_of_them = list(parameters.states)
    code = words.one_line(facts.segment(subject.at.node), 40)
    found = []
    what = "It" if subject.function else f"The gradient of {code}"
    if subject.event is not None and subject.event.kind == "backward" and subject.event.requires_grad is False:
        found.append(f"{code} raises: no gradient is left in what it is called on.")
    if all_of_them:
        if subject.function:
            what = f"The gradient of what {subject.function}() returns"
        score = next((score for score in scores(facts) if score.event is subject.event), None)
        title = backward_title(facts, score) if score is not None and score.event.requires_grad else ""
        total = parameters.number(all_of_them)
        word = "parameter" if any(leaf.is_parameter for leaf in all_of_them) else "tensor"
        if title:
            found.append(f"The {title.replace('gradient', f'gradient of {code}', 1)}.")  # As above its line.
        else:
            found.append(f"{what} reaches {parameters.number(reached)} of {total} {word}{'s' * (total != '1')}.")
        if parameters.several:
            found.append("Lists of unknown length count as one or two elements.")
    if unknown:
        found.append(f"For {parameters.number(unknown)} it depends on the run.")
    for state, sentence in (
        ("lost", ""),
        ("elsewhere", "{} {} cut off here and trained by another backward: {}."),
        ("untrained", "{} {} cut off here, and no optimizer has them: {}."),
        ("frozen", "{} {} frozen: {}."),
        ("unused", "{} {} not part of this loss: {}."),
    ):
        leaves = parameters.of(state)  # type: ignore[arg-type]
        if leaves and state == "lost":
            cuts = [
                f"{words.one_line(facts.segment(at.node).partition(chr(10))[0], 40)} "
                f"({places.lines(at.source, [at.source.line(at.node)])})"
                for at in _cuts(pieces)
            ]
            lose = "loses" if len(leaves) == 1 else "lose"
            where = f" at {listed(cuts)}" if cuts else ""
            found.append(f"{parameters.number(leaves)} {lose} it{where}: {_owners(facts, parameters, pieces, leaves)}.")
        elif leaves:
            found.append(
                sentence.format(
                    parameters.number(leaves),
                    "is" if len(leaves) == 1 else "are",
                    _owners(facts, parameters, pieces, leaves),
                )
            )
    if subject.calls > 1 and subject.event is None:
        found.append(f"It is reached in {subject.calls} ways here; this is one of them.")
    return list(filter(None, found))


def _cuts(pieces: Sequence[Piece]) -> list[At]:
    """Where the cuts are that cost something."""
    ats = [node.cut.at for piece in pieces if piece.state == "lost" for node in piece.nodes if node.cut is not None]
    return list(dict.fromkeys(ats))


def _owners(
    facts: Facts, parameters: Parameters, pieces: Sequence[Piece], leaves: Sequence[Tensor], most: int = 4
) -> str:
    """The modules that these are in, as their boxes have it; the outermost ones if these are too many."""
    drawn = {leaf: piece.owner for piece in pieces if piece.kind == "parameters" for leaf in piece.leaves}
    known = Names.of(facts)
    paths = {
        leaf: drawn.get(leaf, parameters.owners[leaf]) or tuple(known.name(leaf).split(".")[:-1]) or (_name_of(leaf),)
        for leaf in leaves
    }
    names = list(dict.fromkeys(map(".".join, paths.values())))
    if len(names) > most:
        names = list(dict.fromkeys(path[0].partition("[")[0] for path in paths.values()))
    return listed(names, most)
