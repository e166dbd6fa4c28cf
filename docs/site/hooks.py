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
    docs = {uri: title for title, uri in pages.titles("docs")}
    editors = {uri: re.sub("^gradls (in|for) ", "", title) for title, uri in pages.titles("editors/*")}

    def there(*uris: str) -> list[Any]:
        """Pages that come from docs/, as far as there are such."""
        return [{docs.pop(uri): uri} for uri in uris if uri in docs]

    use = [
        {"Installation": "installation.md"},
        {"On the command line": "check.md"},
        *there("reports.md"),
        {"When it has already failed": "why.md"},
        {"In an editor": ["editors/index.md", *({title: uri} for uri, title in editors.items())]},
        *there("ci.md"),
        {"How sure it is": "false-alarms.md"},
        {"Limits": "limits.md"},
    ]
    rules = ({family: [{rule.name: rule_uri(rule)} for rule in rules]} for family, rules in families())
    autograd = [*there("beliefs.md"), {"What PyTorch says": "errors.md"}]
    commands = {"Command line": "command-line.md"}
    reference = [
        *there("configuration.md"),
        commands,
        *there("api.md", "lsp.md", "versioning.md"),
        {"Changes": "changelog.md"},
    ]
    inside = [
        *there("architecture.md", "writing-rules.md", "benchmarks.md"),
        {"How that is measured": "measuring.md"},
        *there(*sorted(docs)),
        *([{"Contributing": "contributing.md"}] if (ROOT / "CONTRIBUTING.md").exists() else []),
    ]
    return [
        {"Home": "index.md"},
        {"Playground": "playground.md"},
        {"Use it": use},
        {"Rules": ["rules/index.md", *rules]},
        {"Autograd": autograd},
        {"Reference": reference},
        {"How it works": inside},
    ]
