"""Findings as failed tests, for CI systems that show these."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from gradls.cli.fingerprints import from_folder
from gradls.cli.records import Record, Report, named
from gradls.syntax.text import visible

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(reports: Sequence[Report], errors: Sequence[Record], base: str, fails: Callable[[Record], bool]) -> str:
    """A JUnit report, in ASCII: a suite for each file, a case for each finding, and one that passes for a file without.

    A case fails if the finding `fails`; others pass and say what was found. `errors` are of files that could not be
    read or parsed, and of configurations. The names of cases, from paths as seen from `base` and the code, stay as they
    are when lines move.
    """
    of_files = {report.path: (report.findings, report.errors) for report in reports}
    for error in errors:
        of_files.setdefault(error["path"], ([], []))[1].append(error)
    root = Element("testsuites", name="gradls")
    for path, (findings, failures) in of_files.items():
        _add_suite(root, from_folder(path, base), findings, failures, fails)
    for key in ("tests", "failures", "errors"):
        root.set(key, str(sum(int(suite.get(key, "0")) for suite in root)))
    indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{tostring(root, encoding="us-ascii").decode("ascii")}\n'


def _add_suite(
    root: Element, path: str, findings: Sequence[Record], errors: Sequence[Record], fails: Callable[[Record], bool]
) -> None:
    suite = SubElement(root, "testsuite", name=_text(path))
    names: dict[str, int] = {}
    for finding in findings:
        name = f"{finding['code']} {finding['name']}: {finding['snippet']}"
        name += f" in {finding['scope']}" if finding["scope"] else ""
        names[name] = number = names.get(name, 0) + 1
        case = _case(suite, path, name if number == 1 else f"{name} ({number})")
        place = f"{named(finding)}:{finding['line']}:{finding['column']}"
        message = f"{place}: {finding['severity']}: {finding['message']}"
        if fails(finding):
            failure = SubElement(case, "failure", type=finding["severity"], message=_text(finding["message"]))
            failure.text = _text("\n".join([message, *_steps(finding)]))
        else:
            SubElement(case, "system-out").text = _text(message)
    for number, error in enumerate(errors, 1):
        case = _case(suite, path, "could be checked" if number == 1 else f"could be checked ({number})")
        found = SubElement(case, "error", type="gradls", message=_text(error["message"]))
        found.text = _text(f"{named(error)}:{error['line']}: {error['message']}")
    if not len(suite):
        _case(suite, path, "gradls")
    suite.set("tests", str(len(suite)))
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    suite.set("errors", str(len(errors)))


def _case(suite: Element, path: str, name: str) -> Element:
    return SubElement(suite, "testcase", name=_text(name), classname=_text(path), time="0")


def _steps(finding: Record) -> list[str]:
    return [
        f"  {number}. {named(step)}:{step['line']}:{step['column']}: {step['message']}"
        for number, step in enumerate(finding["related"], 1)
    ]


def _text(text: str) -> str:
    """`text` without what XML cannot say, or a terminal would follow."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", visible(text))
