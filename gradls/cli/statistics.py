"""How often each rule found something."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from rich.text import Text

from gradls.cli.records import Record, fixable
from gradls.cli.text import STYLES


def statistics(findings: Iterable[Record]) -> list[Record]:
    """For each rule with findings: its code and name, the severity, `count`, and how many of these have a `safe` fix,
    or only ones that want a reader (`unsafe`); the most frequent first."""
    of_rules: dict[tuple[str, str, str], list[Record]] = defaultdict(list)
    for finding in findings:
        of_rules[finding["code"], finding["name"], finding["severity"]].append(finding)
    counted: list[Record] = []
    for (code, name, severity), found in of_rules.items():
        counted.append(
            {
                "code": code,
                "name": name,
                "severity": severity,
                "count": len(found),
                **fixable(found),
            }
        )
    return sorted(counted, key=lambda row: (-row["count"], row["code"], row["severity"]))


def table(counted: Iterable[Record]) -> Text:
    """What `statistics` gives, as lines."""
    rows = list(counted)
    width = max((len(str(row["count"])) for row in rows), default=0)
    names = max((len(row["name"]) for row in rows), default=0)
    severities = max((len(row["severity"]) for row in rows), default=0)
    text = Text()
    for row in rows:
        text.append(f"{row['count']:>{width}}  {row['code']} {row['name']:<{names}}  ")
        text.append(f"{row['severity']:<{severities}}", STYLES[row["severity"]])
        fixes = [f"{row['safe']} with --fix"] if row["safe"] else []
        fixes += [f"{row['unsafe']} with --unsafe-fixes"] if row["unsafe"] else []
        text.append(f"  {', '.join(fixes)}".rstrip() + "\n", "dim")
    return text
