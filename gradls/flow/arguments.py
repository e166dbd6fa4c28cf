"""The arguments of a call, as the engine hands them on."""

from __future__ import annotations

import ast

from gradls.flow.values import Host, Value


class Call:
    """The arguments of a call. `unsure` says that there may be more: `*unknown` or `**unknown`; `rest` is then one
    value for those further positional ones, where all are of its sort; `others` are what stands for the further ones,
    one for each `*list` of unknown length. `gap` is the place in `args` at which `*unknown` may have put any number of
    further ones, so that it is not known yet where those after it end up."""

    __slots__ = ("args", "gap", "kwargs", "node", "others", "rest", "unsure")

    def __init__(
        self, node: ast.expr, args: list[Value], kwargs: dict[str, Value] | None = None, unsure: bool = False
    ) -> None:
        self.node = node
        self.args = args
        self.kwargs = {} if kwargs is None else kwargs
        self.unsure = unsure
        self.rest: Value | None = None
        self.others: list[Value] = []
        self.gap: int | None = None

    def get(self, index: int, *names: str) -> Value | None:
        """The argument at `index` or of one of `names`."""
        if 0 <= index < len(self.args):
            return self.args[index]
        for name in names:
            if name in self.kwargs:
                return self.kwargs[name]
        return None

    def known(self, index: int, *names: str, default: object = None) -> object:
        """The Python value of an argument: `default` if it is not given, an Unknown's own value is Ellipsis."""
        value = self.get(index, *names)
        if value is None:
            return default
        if isinstance(value, Host) and value.known:
            return value.value
        return ...

    @property
    def values(self) -> list[Value]:
        return [*self.args, *self.kwargs.values()]
