"""SVG, HTML and DOT: what they hold, and that nothing of the program gets out of its place."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradls.picture import layout as layouts
from gradls.picture.fold import MOST_BOXES
from gradls.picture.html import html
from gradls.picture.layout import HEIGHT, lay_out
from gradls.picture.model import Arrow, Box, Picture, Spot
from gradls.picture.render import render
from gradls.picture.svg import svg
from gradls.syntax.source import Span
from tests.picture.drawing import drawn
from tests.picture.test_model import CUT

SVG = "{http://www.w3.org/2000/svg}"
NASTY = "\"'><script>alert(1)</script>]]>&amp;<!--{}\\\0\x1b\ud800\uffff</title></style>"


def uri_of(path: str) -> str:
    return f"file:///project/{path}"


def picture_of(text: str) -> Picture:
    """One where every text is `text`."""
    spot = Spot(text, Span(1, 2, 3, 4))
    boxes = [
        Box(f"n{number}", kind, state, text, text, text, 1, (spot,), (text,))  # type: ignore[arg-type]
        for number, (kind, state) in enumerate([("parameters", "lost"), ("cut", "lost"), ("end", "none")])
    ]
    return Picture(text, (text,), spot, tuple(boxes), (Arrow("n0", "n1", False), Arrow("n1", "n2", None)))


class Page(HTMLParser):
    """The elements of a page, as browsers see them, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def shape(page: Page) -> list[tuple[str, list[str]]]:
    """The elements and which attributes they have, whatever these say."""
    return [(tag, sorted(attributes)) for tag, attributes in page.elements]


@settings(max_examples=60)
@given(st.one_of(st.just(NASTY), st.text(min_size=1), st.text(alphabet="<>&\"'/=- ]!abc", min_size=1)))
def test_no_text_becomes_markup(text: str):
    plain, nasty = picture_of("x"), picture_of(text)
    layout = lay_out(plain)
    encoded = svg(nasty, layout, uri_of).encode("utf-8")
    tags = [element.tag for element in ElementTree.fromstring(encoded).iter()]
    assert tags == [element.tag for element in ElementTree.fromstring(svg(plain, layout, uri_of)).iter()]
    page = html(nasty, layout, uri_of)
    page.encode("utf-8")
    assert shape(Page(page)) == shape(Page(html(plain, layout, uri_of)))
    render(nasty, "dot", uri_of).encode("utf-8", "replace")


def test_a_program_that_would_like_to_run():
    text = CUT.replace("h.detach()", "h.detach(\"</script><script>alert(1)</script>\", ']]>')")
    page = Page(render(drawn(text), "html", uri_of))
    assert not [tag for tag, _ in page.elements if tag in ("script", "iframe", "object", "img", "base", "form")]
    assert '"</script><script>alert(1)</script>"' in page.text


@pytest.mark.parametrize("path", ["javascript:alert(1)", "untitled:Untitled-1", "vscode-notebook-cell:/a.ipynb#1"])
def test_only_files_are_linked_to(path: str):
    picture = picture_of(path)
    for text in (svg(picture, lay_out(picture), lambda path: path), html(picture, lay_out(picture), lambda path: path)):
        links = [attributes["href"] for _, attributes in Page(text).elements if "href" in attributes]
        assert all(link and link.startswith("#") for link in links)


def test_the_page_needs_nothing_else():
    text = render(drawn(CUT), "html", uri_of)
    page = Page(text)
    (policy,) = [
        attributes["content"]
        for tag, attributes in page.elements
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert not [name for _, attributes in page.elements for name in attributes if name in ("src", "style")]
    assert "url(" not in style
    assert "@import" not in style


def test_boxes_lead_to_what_is_said_of_them_and_from_there_to_the_code():
    picture = drawn(CUT)
    page = Page(render(picture, "html", uri_of))
    identifiers = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    for box in picture.boxes:
        (link,) = [attributes for tag, attributes in page.elements if attributes.get("id") == f"box-{box.id}"]
        assert link["href"] == f"#about-{box.id}"
        assert f"about-{box.id}" in identifiers
    cut = next(attributes for _, attributes in page.elements if "cut" in (attributes.get("class") or "").split())
    place = {name: value for name, value in cut.items() if name.startswith("data-")}
    assert place == {
        "data-uri": "file:///project/train.py",
        "data-line": "8",
        "data-column": "13",
        "data-end-line": "8",
        "data-end-column": "23",
    }
    assert "file:///project/train.py#L8" in {attributes.get("href") for _, attributes in page.elements}


def test_colour_is_not_all_that_tells():
    """Each state has words or a sign of its own."""
    notes = {box.state: box.note for box in drawn(CUT).boxes if box.kind == "parameters"}
    assert notes["reached"].startswith("✓")
    assert notes["lost"].startswith("✗")


@pytest.fixture(params=[True, False], ids=["graphviz", "grandalf"])
def graphviz(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[bool]:
    if request.param and layouts._dot() is None:
        pytest.skip("no Graphviz here")
    if not request.param:
        monkeypatch.setenv("PATH", "")
    return request.param


def overlap(one: tuple[float, float, float], other: tuple[float, float, float]) -> bool:
    (x1, y1, w1), (x2, y2, w2) = one, other
    return abs(x1 - x2) < (w1 + w2) / 2 - 1 and abs(y1 - y2) < HEIGHT - 1


@settings(max_examples=25)
@given(
    st.integers(2, 30).flatmap(
        lambda n: st.tuples(st.just(n), st.sets(st.tuples(st.integers(0, n), st.integers(0, n))))
    )
)
@pytest.mark.parametrize("with_graphviz", [True, False])
def test_boxes_have_places_of_their_own(with_graphviz: bool, graph: tuple[int, set[tuple[int, int]]]):
    count, pairs = graph
    boxes = tuple(Box(f"n{n}", "operation", "none", "x" * (n % 17), "note") for n in range(count))
    arrows = tuple(Arrow(f"n{a}", f"n{b}", True) for a, b in sorted(pairs) if a < b < count)
    picture = Picture("t", (), Spot("p", Span(1, 1, 1, 1)), boxes, arrows)
    layout = lay_out(picture, with_graphviz)
    assert set(layout.middles) == {box.id for box in boxes}
    assert len(layout.routes) == len(arrows)
    placed = [(*layout.middles[box.id], layout.widths[box.id]) for box in boxes]
    assert not any(overlap(one, other) for n, one in enumerate(placed) for other in placed[:n])
    for x, y, width in placed:
        assert 0 <= x - width / 2 <= x + width / 2 <= layout.width
        assert 0 <= y - HEIGHT / 2 <= y + HEIGHT / 2 <= layout.height
    for arrow in arrows:
        assert layout.middles[arrow.start][1] < layout.middles[arrow.end][1]


def test_it_is_drawn_with_and_without_graphviz(graphviz: bool):
    assert (layouts._dot() is not None) is graphviz
    root = ElementTree.fromstring(render(drawn(CUT), "svg", uri_of))
    assert len(root.findall(f"{SVG}a")) == len(drawn(CUT).boxes)


@pytest.mark.parametrize("script", ["exit 1", "echo nonsense", "echo node n1 x y", ""])
def test_a_graphviz_that_fails_does_no_harm(script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "dot").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "dot").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert len(ElementTree.fromstring(render(drawn(CUT), "svg", uri_of)).findall(f"{SVG}a")) == len(drawn(CUT).boxes)


def test_a_dot_in_the_working_directory_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "dot").write_text("#!/bin/sh\ntouch ran\n")
    (tmp_path / "dot").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    for path in (".", "", ".:"):
        monkeypatch.setenv("PATH", path)
        render(drawn(CUT), "svg", uri_of)
    assert not (tmp_path / "ran").exists()


WIDE = "import torch\nfrom torch import nn\n{layers}\nx = torch.ones(2)\ny = {sum}\ny.backward()\n"


@pytest.mark.parametrize("count", [40, 400])
def test_large_graphs_are_folded(count: int):
    """Whatever the form: many modules side by side, long chains, many cuts."""
    layers = "\n".join(f"l{n} = nn.Linear(2, 2)" for n in range(count))
    side_by_side = WIDE.format(layers=layers, sum=" + ".join(f"l{n}(x).sum()" for n in range(count)))
    chain = WIDE.format(layers=layers + "\n", sum="x").replace(
        "y = x\n", "".join(f"x = l{n}(x)\n" for n in range(count)) + "y = x.sum()\n"
    )
    cuts = WIDE.format(layers=layers, sum=" + ".join(f"l{n}(x).detach().sum()" for n in range(count)))
    for text in (side_by_side, chain, cuts):
        picture = drawn(text)
        assert 3 <= len(picture.boxes) <= MOST_BOXES
        assert picture.boxes[-1].kind == "end"
        ends = {box.id: number for number, box in enumerate(picture.boxes)}
        assert all(ends[arrow.start] < ends[arrow.end] for arrow in picture.arrows)
        assert sum(box.count for box in picture.boxes if box.kind == "parameters") in (0, 2 * count) or text == chain
        page = render(picture, "html", uri_of)
        assert len(page) < 400_000
