"""The table of messages."""

from __future__ import annotations

import re

import pytest

from gradls.errors.table import ANYTHING, Message, all_messages, messages_in
from gradls.rules.registry import rules_by_key

MESSAGES = all_messages()


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.name)
def test_an_entry(message: Message):
    assert all(text.endswith((".", "!")) for text in (message.means, message.cause, message.fix))
    assert message.rules
    assert set(message.rules) <= set(rules_by_key())
    assert len(set(message.rules)) == len(message.rules)
    re.compile(message.line)


def test_names_are_each_used_once():
    assert len({message.name for message in MESSAGES}) == len(MESSAGES)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.name)
def test_each_wording_is_found_and_the_message_comes_first(message: Message):
    for wording in message.wordings:
        said = wording.says.replace(ANYTHING, "xyz")
        found = messages_in(f"RuntimeError: {said}", ["loss.grad(optim.backward())"])
        assert message in found, said
        if not any(said == other.says.replace(ANYTHING, "xyz") for entry in found for other in entry.wordings):
            assert found[0] is message, said


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("element 0 of variables does not require grad and does not have a grad_fn", "no-graph"),
        ("Trying to backward through the graph a second time, but the buffers have already been freed.", "graph-freed"),
        ("a leaf Variable that requires grad has been used in an in-place operation.", "leaf-written"),
        ("expected scalar type Long but found Float", "target-type"),
        ("one of the variables needed for gradient\n computation has been modified by an inplace", "written-in-place"),
        ("Can't call numpy() on Variable that requires grad. Use var.detach().numpy() instead.", "numpy"),
        ("bool value of Tensor with more than one value is ambiguous", "several-as-one"),
        ("the derivative for 'target' is not implemented", "no-derivative-of-operation"),
    ],
)
def test_wordings_of_older_releases(said: str, name: str):
    assert name in [message.name for message in messages_in(said)][:1]


def test_a_message_that_is_not_pytorchs_alone():
    said = "TypeError: 'float' object is not iterable"
    assert [message.name for message in messages_in(said, ["y.backward(1.0)"])][:1] == ["gradient-number"]
    assert messages_in(said, ["for x in total:"]) == []


def test_something_else():
    assert messages_in("FileNotFoundError: [Errno 2] No such file or directory: 'data.csv'") == []
