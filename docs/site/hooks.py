"""Has MkDocs make the site: adds the pages that are made, and says what is in the navigation."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

SITE = Path(__file__).resolve().parent
sys.path[:0] = [str(SITE), str(SITE.parents[1])]

from gradls_site.commands import commands_page  # noqa: E402
from gradls_site.examples import with_findings  # noqa: E402
from gradls_site.files import ROOT, Pages  # noqa: E402
from gradls_site.playground import FOLDER, built  # noqa: E402
from gradls_site.rules import errors_page, families, index_page, rule_page, rule_uri  # noqa: E402

from gradls.cli.arguments import parser  # noqa: E402

_CHECKED = re.compile(r"^<!-- checked -->\n```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LOGO = "editors/vscode/media/icon.svg"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    config.nav = _navigation()
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    pages = Pages()
    made: dict[str, str | bytes] = dict(pages.all())
    made.update(pages.assets)
    made["rules/index.md"] = index_page()
    made.update((rule_uri(rule), rule_page(rule)) for _, rules in families() for rule in rules)
    made["errors.md"] = errors_page()
    made["command-line.md"] = commands_page(parser())
    made.update(built())
    made["assets/logo.svg"] = (ROOT / LOGO).read_bytes()
    made["assets/favicon.png"] = (ROOT / LOGO).with_suffix(".png").read_bytes()
    made["assets/gradient.svg"] = (ROOT / "docs" / "gradient.svg").read_bytes()
    for uri, content in made.items():
        files.append(File.generated(config, uri, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """A program behind `<!-- checked -->` is shown with what gradls finds in it."""
    if page.file.src_uri == "playground.md":
        return markdown.replace("<!-- playground -->", _playground(files))
    return _CHECKED.sub(lambda found: with_findings(found[1], link="rules/{}.md"), markdown)


def _playground(files: Files) -> str:
    """What loads the playground, if it was built."""
    if files.get_file_from_path(FOLDER + "main.js") is None:
        return '!!! warning "It is not in this build of the site"\n    `python docs/site/build_playground.py` makes it.'
    style = f'<link rel="stylesheet" href="../{FOLDER}picture.css">'
    return f'{style}<script type="module" src="../{FOLDER}main.js"></script>'


def _navigation() -> list[Any]:
    pages = Pages()
    named = {"beliefs.md", "configuration.md", "lsp.md", "benchmarks.md", "architecture.md", "writing-rules.md"}
    docs = dict(reversed(entry) for entry in pages.titles("docs"))
    others: list[Any] = [{title: uri} for uri, title in docs.items() if uri not in named]
    writing: list[Any] = [{docs["writing-rules.md"]: "writing-rules.md"}] if "writing-rules.md" in docs else []
    return [
        {"Home": "index.md"},
        {"Playground": "playground.md"},
        {
            "Use it": [
                {"Installation": "installation.md"},
                {"On the command line": "check.md"},
                {"When it has already failed": "why.md"},
                {
                    "In an editor": [
                        "editors/index.md",
                        *(
                            {title.removeprefix("gradls ").removeprefix("in ").removeprefix("for "): uri}
                            for title, uri in pages.titles("editors/*")
                        ),
                    ]
                },
                {"How sure it is": "false-alarms.md"},
                {"Limits": "limits.md"},
            ]
        },
        {
            "Rules": [
                "rules/index.md",
                *({family: [{f"{rule.name}": rule_uri(rule)} for rule in rules]} for family, rules in families()),
            ]
        },
        {"Autograd": [{"What is not true about it": "beliefs.md"}, {"What PyTorch says": "errors.md"}]},
        {
            "Reference": [
                {"Configuration": "configuration.md"},
                {"Command line": "command-line.md"},
                {"Language Server Protocol": "lsp.md"},
            ]
        },
        {
            "How it works": [
                {"Architecture": "architecture.md"},
                *writing,
                {"How fast it is": "benchmarks.md"},
                {"How that is measured": "measuring.md"},
                *others,
                {"Changes": "changelog.md"},
            ]
        },
    ]
