"""Codes and names of rules are promises (docs/versioning.md): `codes.txt` has all that there ever were."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from gradls.rules.registry import own_rules

LIST = Path(__file__).with_name("codes.txt")


def broken(listed: Iterable[str], rules: Mapping[str, str]) -> list[str]:
    """What rules, names by codes, do against the lines of the list."""
    entries = [line.split() for line in listed if line.strip() and not line.startswith("#")]
    wrong = [f"{entry} is not CODE NAME [VERSION]" for entry in entries if len(entry) not in (2, 3)]
    names = [name for _, name, *_ in entries]
    codes = {code: (name, gone) for code, name, *gone in entries}
    wrong += [f"{name} is listed twice" for name in set(names) if names.count(name) > 1]
    wrong += ["a code is listed twice"] if len(codes) < len(entries) else []
    for code, name in rules.items():
        known, gone = codes.get(code, ("", []))
        if not known:
            reused = f", and {name} was the name of another one" if name in names else ""
            wrong.append(f"{code} {name} is not in {LIST.name}{reused}")
        elif known != name:
            wrong.append(f"{code} was {known} and cannot become {name}")
        elif gone:
            wrong.append(f"{code} is gone since {gone[0]} and cannot come back")
    wrong += [f"{code} {name} is removed" for code, (name, gone) in codes.items() if code not in rules and not gone]
    return wrong


def test_no_promise_is_broken():
    assert broken(LIST.read_text(encoding="utf-8").splitlines(), {rule.code: rule.name for rule in own_rules()}) == []


LISTED = ["# a comment", "GRD1 one", "GRD2 two", "GRD3 three 0.2"]


def test_each_breach_is_seen():
    assert broken(LISTED, {"GRD1": "one", "GRD2": "two"}) == []
    assert broken(LISTED, {"GRD1": "one"}) == ["GRD2 two is removed"]
    assert broken(LISTED, {"GRD1": "one", "GRD2": "deux"}) == ["GRD2 was two and cannot become deux"]
    assert broken(LISTED, {"GRD1": "one", "GRD2": "two", "GRD3": "three"}) == [
        "GRD3 is gone since 0.2 and cannot come back"
    ]
    assert broken(LISTED, {"GRD1": "one", "GRD2": "two", "GRD4": "four"}) == ["GRD4 four is not in codes.txt"]
    (again,) = broken(LISTED, {"GRD1": "one", "GRD2": "two", "GRD4": "three"})
    assert "was the name of another one" in again
    assert broken([*LISTED, "GRD4 two"], {"GRD1": "one", "GRD2": "two"}) != []
