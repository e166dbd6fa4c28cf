"""Which modules of a program have a parameter, and where they are called."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from functools import cached_property

from gradls.flow.facts import Facts
from gradls.flow.hierarchy import is_module
from gradls.flow.models.modules import parameters_of
from gradls.flow.values import Instance, Tensor


class Holders:
    """The modules of a program by their parameters, each looked through once."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._own: dict[Instance, set[Tensor]] = {}

    def own(self, module: Instance) -> set[Tensor]:
        """The parameters of a module."""
        found = self._own.get(module)
        if found is None:
            found = self._own[module] = {tensor for _, tensor in parameters_of(module)[0]}
        return found

    @cached_property
    def calls(self) -> dict[Instance, ast.Call]:
        """Where modules are called last."""
        return {
            function: node
            for node, records in self._facts.calls.items()
            for function, _, _ in records
            if isinstance(function, Instance) and is_module(function)
        }

    @cached_property
    def called(self) -> dict[Tensor, list[Instance]]:
        """The modules that are called, by each of their parameters."""
        return self._by_tensor(self.calls)

    @cached_property
    def made(self) -> dict[Tensor, list[Instance]]:
        """The objects that are made, by each of their parameters."""
        made = (event.value for event in self._facts.of("object-made"))
        return self._by_tensor(dict.fromkeys(one for one in made if isinstance(one, Instance)))

    def _by_tensor(self, modules: Iterable[Instance]) -> dict[Tensor, list[Instance]]:
        found: dict[Tensor, list[Instance]] = {}
        for module in modules:
            for tensor in self.own(module):
                found.setdefault(tensor, []).append(module)
        return found
