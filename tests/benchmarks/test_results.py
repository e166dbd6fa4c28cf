"""Figures get into the page, each into its place."""

from __future__ import annotations

from pathlib import Path

from benchmarks.results import Table, percentile, ratio, write


def test_figures_take_the_place_of_those_from_before(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n<!-- edits -->\nold\n<!-- /edits -->\n\nend\n")
    table = Table("title", ["server", "ms"], notes=["A note."])
    table.add("gradls", 1234.5)
    table.add("peer", None)
    write(page, "edits", "python -m benchmarks.edits", [table])
    write(page, "edits", "python -m benchmarks.edits --edits 2", [table])
    text = page.read_text()
    assert text.startswith("# Page\n\n<!-- edits -->\n")
    assert text.endswith("<!-- /edits -->\n\nend\n")
    assert "old" not in text
    assert text.count("benchmarks.edits") == 1
    assert "| gradls | 1,234 |\n| peer | - |\n" in text
    assert "A note." in text


def test_a_part_that_is_missing_is_appended(tmp_path: Path):
    page = tmp_path / "page.md"
    write(page, "open", "python -m benchmarks.open", [Table("title", ["server"])])
    assert "<!-- open -->" in page.read_text()


def test_percentiles_lie_between_values():
    assert percentile([3, 1, 2], 0.5) == 2
    assert percentile([0, 10], 0.95) == 9.5
    assert ratio(10, 4) == "2.5×"
    assert ratio(2400, 10) == "240×"
    assert ratio(None, 4) == "-"
