"""The documentation site: it can be built, all its links lead somewhere, and it says what the code does."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path

import pytest

from gradls.cli.arguments import parser
from gradls.errors.table import all_messages
from gradls.flow.analyze import analyze
from gradls.rules.beliefs import all_beliefs
from gradls.rules.page import SECTIONS, page, programs
from gradls.rules.registry import all_rules
from gradls.rules.run import findings
from gradls.syntax.source import Source
from gradls.testing import programs as truth
from gradls.workspace import addresses
from gradls.workspace.options import OPTIONS
from tests.docs.site import SOURCES, built

from gradls_site.markdown import for_mkdocs, outside_code, section  # isort: skip
from links import faults  # isort: skip


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory)


def text_of(file: Path) -> str:
    """What a page shows, on one line."""
    html = file.read_text(encoding="utf-8")
    body = html[html.index("<article") : html.index("</article>")]
    return " ".join(unescape(re.sub(r"<[^>]*>", "", body)).split())


def anchors(file: Path) -> set[str]:
    return set(re.findall(r'\bid="([^"]*)"', file.read_text(encoding="utf-8")))


def test_all_links_lead_somewhere_and_nothing_comes_from_other_servers(site: Path):
    assert not list(faults(site))


def test_each_rule_has_a_page_at_the_address_that_diagnostics_link_to(site: Path):
    for rule in all_rules():
        file = site / addresses.RULE_PAGE.format(code=rule.code) / "index.html"
        shown = text_of(file)
        assert rule.name in shown
        wanted = {heading.lower().replace(" ", "-") for heading in SECTIONS if heading in page(type(rule)).sections}
        assert wanted <= anchors(file), rule.code


def test_the_page_of_a_rule_shows_what_gradls_says_about_its_example(site: Path):
    for code, fixed in (("GRD201", "out = out + x"), ("GRD101", None), ("GRD903", None)):
        rule = next(rule for rule in all_rules() if rule.code == code)
        shown = text_of(site / f"rules/{code}/index.html").replace("`", "")
        source = Source.read(page(type(rule)).examples[0])
        target = (1, 13) if code == "GRD903" else (2, 13)
        found = findings(analyze(source, target=target), [rule])
        assert found
        for finding in found:
            assert finding.message.replace("`", "") in shown
            assert all(step.message.replace("`", "") in shown for step in finding.story)
        assert fixed is None or f"+{fixed}" in shown


def test_messages_beliefs_options_and_commands_are_all_there(site: Path):
    assert {message.name for message in all_messages()} <= anchors(site / "errors/index.html")
    assert {option.key for option in OPTIONS} <= anchors(site / "configuration/index.html")
    beliefs = text_of(site / "beliefs/index.html")
    assert not [belief.claim for belief in all_beliefs() if " ".join(belief.program.split()) not in beliefs]
    commands = next(action for action in parser()._actions if action.dest == "command").choices
    assert set(commands) <= anchors(site / "command-line/index.html")
    options = {option for command in commands.values() for option in command._option_string_actions} - {"-h", "--help"}
    shown = text_of(site / "command-line/index.html")
    assert not [option for option in options if option not in shown]


def test_no_markdown_is_left_over(site: Path):
    """Python-Markdown reads some things otherwise than GitHub does."""
    left = re.compile(r"```|\|---|\]\(|<!--|\{ ?[.#]\w|^\s*(?:[-*]|\d+\.) \w", re.MULTILINE)
    for file in site.rglob("index.html"):
        html = file.read_text(encoding="utf-8")
        body = html[html.index("<article") : html.index("</article>")]
        words = unescape(re.sub(r"<[^>]*>", "", re.sub(r"<(pre|code)\b.*?</\1>", "", body, flags=re.DOTALL)))
        assert not left.findall(words), file


def test_the_search_knows_the_rules(site: Path):
    index = json.loads((site / "search/search_index.json").read_text(encoding="utf-8"))
    places = {entry["location"] for entry in index["docs"]}
    assert {addresses.RULE_PAGE.format(code=rule.code) for rule in all_rules()} <= places


def test_pytorch_runs_the_program_of_the_first_page_without_complaint():
    (program,) = programs((SOURCES / "pages/index.md").read_text(encoding="utf-8"))
    assert truth.check(program).error is None


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path):
    (tmp_path / "index.html").write_text(
        '<h1 id="here">x</h1><a href="#here">1</a><a href="#there">2</a><a href="gone/">3</a><a href="sub/#in">4</a>'
        '<img src="none.png"><script src="https://cdn.example/x.js"></script><a href="https://docs.example/">5</a>'
        '<link rel="stylesheet" href="//fonts.example/css">'
    )
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/index.html").write_text('<p id="in"><a href="../index.html#here">up</a>')
    (tmp_path / "site.css").write_text("@font-face { src: url('https://fonts.example/f.woff2') }")
    assert [re.sub(r"index.html:? ", "", fault) for fault in faults(tmp_path)] == [
        "loads https://cdn.example/x.js from elsewhere",
        "loads //fonts.example/css from elsewhere",
        "#there has an anchor that is not there",
        "gone/ leads nowhere",
        "none.png leads nowhere",
        "site.css loads https://fonts.example/f.woff2 from elsewhere",
    ]


def test_diagnostics_link_to_the_site_once_it_is_published(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(addresses, "SITE", "https://docs.example/gradls/")
    addresses.rule_address.cache_clear()
    try:
        assert addresses.rule_address("written-before-backward") == "https://docs.example/gradls/rules/GRD201/"
    finally:
        addresses.rule_address.cache_clear()


def test_lists_are_lists_for_mkdocs():
    written = "Words:\n- one\n  more\n- two\n\n  ```sh\n  run\n  ```\n\nEnd.\n```\n- no list\n```"
    assert for_mkdocs(written) == (
        "Words:\n\n- one\n    more\n- two\n\n    ```sh\n    run\n    ```\n\nEnd.\n```\n- no list\n```"
    )


def test_code_is_left_alone():
    written = "a `a` a\n\n```\na\n```\n\n    a\n\na"
    assert outside_code(written, str.upper) == "A `a` A\n\n```\na\n```\n\n    a\n\nA"


def test_a_section_ends_where_the_next_begins():
    text = "# T\n\n## A\n\none\n\n### B\n\ntwo\n\n```\n## no heading\n```\n\n## C\n\nthree"
    assert section(text, "A") == "one\n\n### B\n\ntwo\n\n```\n## no heading\n```"
    assert section(text, "B", 3) == "two\n\n```\n## no heading\n```"
    with pytest.raises(LookupError):
        section(text, "D")
