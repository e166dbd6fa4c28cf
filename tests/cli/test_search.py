"""The search of `gradls explain`: the right page for the words of a user, with typing errors."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradls.cli.explain import Topic, found_in_words
from gradls.cli.search import MOST_OF_AN_EXCERPT, Entry, Index
from gradls.errors.table import Message
from gradls.rules.beliefs import Belief, all_beliefs
from gradls.rules.page import page
from gradls.rules.registry import all_rules


def name_of(item: Topic) -> str:
    if isinstance(item, Belief):
        return item.claim
    return item.name if isinstance(item, Message) else item.code


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("does clone().mul_() break the graph?", "`clone().mul_(2)` detaches"),
        ("does clone brek the grahp", "`clone().mul_(2)` detaches"),
        ("is relu_ after linear ok", "`nn.ReLU(inplace=True)` after Linear, Conv2d or BatchNorm2d is unsafe"),
        (
            "is inplase relu after a conv unsafe",
            "`nn.ReLU(inplace=True)` after Linear, Conv2d or BatchNorm2d is unsafe",
        ),
        ("does multiplying by a float detach the tensor", "multiplying by a Python number removes the gradient"),
        ("can I call zero_grad after step", "`zero_grad()` after `step()` is wrong"),
        ("does model.eval() turn off gradients", "`model.eval()` switches gradients off"),
        ("hiden state detach", "GRD301"),
        ("how to freze layers", "GRD609"),
        ("argmax gradient", "GRD107"),
        ("torch.where nan gradient", "GRD119"),
        ("clip_grad_norm befor step", "GRD605"),
        ("softmax before cross_entropy", "GRD403"),
        ("schedular step order", "GRD606"),
        ("list of layers is not traned", "GRD501"),
        ("state_dict has no gradients", "GRD113"),
        ("bufers already fred", "graph-freed"),
        ("leaf variable inplace", "leaf-written"),
    ],
)
def test_a_question_of_a_user(question: str, answer: str):
    found = [name_of(hit.item) for hit in found_in_words(question)[:3]]
    assert any(answer in name for name in found), found


@pytest.mark.parametrize("belief", all_beliefs(), ids=lambda belief: belief.claim)
def test_a_belief_by_its_own_words(belief: Belief):
    assert found_in_words(belief.claim)[0].item is belief


def test_rules_by_their_titles():
    first = [found_in_words(page(type(rule)).title)[0].item is rule for rule in all_rules()]
    assert sum(first) > 0.9 * len(first)


def test_typing_errors_are_forgiven():
    """One letter of each long word left out: nearly all beliefs are still among the first three."""
    chosen = random.Random(0)

    def mistyped(word: str) -> str:
        at = chosen.randrange(1, max(len(word), 2))
        return word if len(word) < 6 or not word.isalpha() else word[:at] + word[at + 1 :]

    found = []
    for belief in all_beliefs():
        question = " ".join(mistyped(word) for word in belief.claim.split())
        found.append(belief in [hit.item for hit in found_in_words(question)[:3]])
    assert sum(found) > 0.9 * len(found)


def test_excerpts_are_short_and_about_the_question():
    for hit in found_in_words("does dropout inplace overwrite relu"):
        assert len(hit.excerpt) <= MOST_OF_AN_EXCERPT + 4
        assert "\n" not in hit.excerpt
        assert "```" not in hit.excerpt


def test_nothing_is_found_about_something_else():
    assert not found_in_words("sourdough bread")
    assert not found_in_words("")


@given(st.text(), st.lists(st.tuples(st.text(), st.text()), max_size=4))
def test_any_texts_can_be_searched(query: str, texts: list[tuple[str, str]]):
    hits = Index([Entry(number, *both) for number, both in enumerate(texts)]).search(query)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert all(0 <= hit.share <= 1 for hit in hits)
