"""What can be configured: the one description of the keys of `[tool.gradls]`.

The reader (`config.py`), the JSON schema and the table in docs/configuration.md are made from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gradls.autograd.versions import NEWEST, OLDEST, shown
from gradls.rules.finding import Severity
from gradls.workspace.forms import (
    FILE_PATH,
    IGNORED,
    Choice,
    Form,
    ListOf,
    Mistake,
    RuleName,
    TableOf,
    TorchVersion,
    meant,
    nearest,
)

HINTS = ("off", "cuts", "all")


@dataclass(frozen=True, slots=True)
class Option:
    """A key, the attribute of `Config` that it sets, and what the reference says of it. `example` is TOML."""

    key: str
    attribute: str
    form: Form
    default: str
    about: str
    example: str


def read_options(table: Mapping[Any, Any]) -> tuple[dict[str, Any], list[Mistake]]:
    """The values that `table` sets, by the attributes of `Config`, and what is wrong with it."""
    values: dict[str, Any] = {}
    mistakes: list[Mistake] = []
    known = {option.key: option for option in OPTIONS}
    for key, value in table.items():
        option = known.get(key)
        if option is None:
            instead = nearest(str(key), known)
            hint = meant(instead) or f" (known: {', '.join(sorted(known))})"
            mistakes.append(Mistake((str(key),), f"unknown key `{key}`{hint}", True, instead))
            continue
        read = option.form.read(value, (key,), mistakes)
        if read is not None:
            values[option.attribute] = read
    return values, mistakes


_RULES = ListOf(RuleName(), 'a list of rules, as in `["GRD1", "detached-loss"]`')

OPTIONS: Sequence[Option] = (
    Option(
        "select",
        "select",
        _RULES,
        "all rules but those of taste",
        "The rules that are on: codes, beginnings of codes (`GRD1` for all of the family), names, or `ALL`. What is "
        'named more closely counts: with `select = ["GRD101"]` and `ignore = ["GRD1"]` GRD101 is on.',
        '["GRD1", "missing-zero-grad"]',
    ),
    Option(
        "ignore",
        "ignore",
        _RULES,
        "none",
        "The rules that are off, named as in `select`. If both name a rule equally closely, it is off.",
        '["GRD4", "unregistered-parameters"]',
    ),
    Option(
        "per-file-ignores",
        "per_file_ignores",
        TableOf(IGNORED, _RULES, "a table from patterns of files to lists of rules"),
        "none",
        "Rules that are off in some files: a table from patterns, as in a .gitignore and relative to the configuration "
        "file, to lists of rules.",
        '{ "tests/*" = ["GRD7"] }',
    ),
    Option(
        "exclude",
        "exclude",
        ListOf(IGNORED, 'a list of patterns, as in `["third_party/"]`'),
        "none",
        "Files and folders that are left alone: patterns as in a .gitignore, relative to the configuration file.",
        '["third_party/"]',
    ),
    Option(
        "severity",
        "severity",
        TableOf(RuleName(), Choice({each.value: each for each in Severity}), "a table from rules to severities"),
        "each rule's own",
        "With which severity rules report: a table from rules, named as in `select`, to `error`, `warning`, "
        "`information` or `hint`. The closest name counts.",
        '{ GRD104 = "information" }',
    ),
    Option(
        "target-torch",
        "target_torch",
        TorchVersion(),
        f'`"{shown(NEWEST)}"`',
        f'The oldest PyTorch that the code is for, as text: `"{shown(OLDEST)}"` to `"{shown(NEWEST)}"`.',
        '"2.6"',
    ),
    Option(
        "hints",
        "hints",
        Choice({each: each for each in HINTS}),
        '`"cuts"`',
        "Which hints an editor shows behind names: `cuts` where a gradient is lost, `all` also where one is required "
        "and what findings tell of, `off` none. The setting of the editor, if there is one, wins.",
        '"all"',
    ),
    Option(
        "baseline",
        "baseline",
        FILE_PATH,
        "none",
        "A file with the findings that are known, which `gradls check --write-baseline` makes: `gradls check` reports "
        "only others. The path is relative to the configuration file. Editors show all findings.",
        '"gradls-baseline.json"',
    ),
)
