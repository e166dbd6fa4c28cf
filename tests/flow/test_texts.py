"""Text that a program puts together: what it is decides which layers and parameters it means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradls.flow.names import NoNames
from gradls.flow.run import Run
from gradls.flow.texts import filled_in, joined, plain
from gradls.flow.values import Host, Sequence, host
from gradls.syntax.source import Source
from tests.rules.reported import check_error, check_right, reported

RUN = Run(Source.read("", "program.py"), NoNames())
PARTS = st.one_of(st.text("ab.%d"), st.integers(-99, 9999), st.floats(-9, 9))


@given(st.lists(st.one_of(st.text("ab.%"), st.sampled_from(["%d", "%s", "%.2f", "%*d", "%09999d"]))), st.lists(PARTS))
def test_what_is_filled_in_is_what_python_fills_in(format_parts: list[str], parts: list[object]) -> None:
    text = "".join(format_parts)
    found = filled_in(RUN, host(text), Sequence(RUN.state, "tuple", tuple(host(part) for part in parts)))
    if isinstance(found, Host) and found.known:
        assert found.value == text % tuple(parts)
    elif not isinstance(found, Host):
        with pytest.raises((TypeError, ValueError)):
            text % tuple(parts)


@given(st.text("ab."), st.lists(PARTS))
def test_what_is_joined_is_what_python_joins(text: str, parts: list[object]) -> None:
    found = joined(host(text), Sequence(RUN.state, "list", tuple(host(part) for part in parts)))
    assert isinstance(found, Host)
    assert not found.known or found.value == text.join(map(str, parts))
    assert found.known or not all(isinstance(part, str) for part in parts)


def test_a_list_with_unknown_elements_is_not_known() -> None:
    assert plain(Sequence(RUN.state, "list", (host("a"),), Host("str"))) is ...
    assert plain(Sequence(RUN.state, "set", (host("a"),))) is ...
    assert plain(Sequence(RUN.state, "tuple", (host("a"), host(1)))) == ("a", 1)


NAMED = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        for i in range(2):
            self.add_module({name}, nn.Linear(3, 3))

    def forward(self, x):
        for i in range(2):
            x = getattr(self, {name})(x)
        return x


Net()(torch.ones(3)).sum().backward(){raises}
"""


@pytest.mark.parametrize("name", ['"block%d{}%s" % (i, "fc")', '"{}".join(["block", str(i)])', '"block{}%s" % i'])
def test_names_with_a_dot(name: str) -> None:
    check_error("GRD513", NAMED.format(name=name.format("."), raises="  # raises KeyError"))
    check_right(NAMED.format(name=name.format("_"), raises=""))


@pytest.mark.parametrize("values", ["(i, x.mean())", "x", "{'i': i}", "x.mean()"])
def test_text_has_no_gradient(values: str) -> None:
    snippet = f"""
        x = torch.ones(3, requires_grad=True)
        for i in range(2):
            text = "%s %s" % {values}
            text.backward()
        """
    assert reported("GRD101", snippet) == []
