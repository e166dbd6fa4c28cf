"""A program and what gradls finds in it, as Markdown."""

from __future__ import annotations

from collections.abc import Collection

from gradls.flow.analyze import analyze
from gradls.rules.finding import Finding, Fix, Safety, Severity
from gradls.rules.page import target_of
from gradls.rules.registry import rules_by_key
from gradls.rules.run import findings
from gradls.syntax.source import Source
from gradls.workspace.edits import apply_edits, unified_diff
from gradls_site.markdown import escaped, indented
from gradls_site.playground import link as playground_link

_SAFETY = {
    Safety.SAFE: "safe: `gradls check --fix` makes it",
    Safety.SUGGESTED: "suggested: read it before you take it",
}


def found_in(program: str, codes: Collection[str] = ()) -> list[Finding]:
    """The findings in a program, of the rules with `codes` or of all that are on by default."""
    rules = [rule for rule in set(rules_by_key().values()) if rule.code in codes or not codes]
    if not codes:
        rules = [rule for rule in rules if rule.severity is not Severity.HINT]
    return findings(analyze(Source.read(program, "example.py"), target=target_of(program)), rules)


def with_findings(program: str, codes: Collection[str] = (), link: str = "", root: str = "") -> str:
    """The program, what is found in it, and the fixes as diffs. `link` leads to the pages of the rules, with `{}` for
    the code; without it codes are not links. `root` is the way from the page, as it is served, to that of the site."""
    found = found_in(program, codes)
    marked = sorted({line for finding in found for line in range(finding.span.line, finding.span.end_line + 1)})
    marks = f' hl_lines="{" ".join(map(str, marked))}"' if marked else ""
    parts = [f'```{{ .python linenums="1"{marks} }}\n{program.rstrip()}\n```']
    parts.append(f'<a class="try" href="{root}{playground_link(program)}">Open in the playground</a>')
    parts += [_finding(finding, program, link) for finding in found]
    return "\n\n".join(parts)


def _finding(finding: Finding, program: str, link: str) -> str:
    rule = f"[{finding.code}]({link.format(finding.code)})" if link else finding.code
    title = f"line {finding.span.line}: {finding.severity.value} {rule} {finding.name}"
    lines = [f"{escaped(finding.message)}"]
    if finding.story:
        lines.append(
            "\n".join(
                f"{number}. line {step.place.span.line}: `{_line(step.place.source, step.place.span.line)}`<br>"
                f"{escaped(step.message)}"
                for number, step in enumerate(finding.story, 1)
            )
        )
    lines += [text for fix in finding.fixes if (text := _fix(fix, program))]
    return f'!!! {finding.severity.value} "{title}"\n' + indented("\n\n".join(lines))


def _line(source: Source, line: int) -> str:
    return source.lines[line - 1].strip()


def _fix(fix: Fix, program: str) -> str:
    edits = fix.build()
    if not edits:
        return ""
    diff = unified_diff("example.py", program, apply_edits(program, edits))
    body = "\n".join(line for line in diff.splitlines()[2:] if not line.startswith("@@"))
    return f"**Fix: {escaped(fix.title)}** ({_SAFETY[fix.safety]})\n\n```diff\n{body}\n```"
