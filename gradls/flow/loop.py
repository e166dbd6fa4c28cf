"""A loop while it is analysed."""

from __future__ import annotations

import ast

from gradls.flow.state import Changes, Way


class Loop:
    """A loop under analysis: the states in which it was left or continued."""

    __slots__ = (
        "breaks", "continues", "count", "late", "leaving", "mark", "modes", "partly", "passed", "round_mark",
        "statement",
    )  # fmt: skip

    def __init__(self, mark: tuple[int, int], modes: int = 0, leaving: int = 0) -> None:
        self.mark = mark
        self.modes = modes
        """How many `with` blocks that change the grad mode are open around it."""
        self.leaving = leaving
        """How many context managers are entered around it."""
        self.count: int | None = None
        """How many rounds it has, if that is known and none of them leaves it."""
        self.statement: ast.AST | None = None
        self.passed: set[ast.AST] = set()
        """Branches for every so many rounds that the first round passes by."""
        self.late = False
        """Is one of these taken in a later round?"""
        self.partly = False
        """Did a name that had no value get one on some ways through a round only? Behind the loop it may be that of any
        round."""
        self.round_mark = mark
        self.breaks: list[tuple[Changes, Way]] = []
        self.continues: list[tuple[Changes, Way]] = []
