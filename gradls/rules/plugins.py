"""Rules of others: the entry points in the group `gradls.rules`, in the environment that gradls itself is installed in.

Nothing of the workspace is looked at, also where the current folder is one of those that Python imports from. What is
wrong with a plugin costs that plugin, or the one rule, and is told in a sentence.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import site
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import gradls
from gradls.rules.finding import Finding, Severity, Tag
from gradls.rules.rule import Rule

if TYPE_CHECKING:
    from importlib.metadata import Distribution, EntryPoint

GROUP = "gradls.rules"
OWN_CODES = "GRD"
_CODE = re.compile(r"[A-Z]{2,10}[0-9]{1,5}")
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@dataclass(slots=True)
class Plugins:
    """The rules of others, why some of them are left out (sentences), and what changes when a plugin does."""

    rules: list[Rule] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    versions: list[tuple[str, str]] = field(default_factory=list)


def load(own: Iterable[Rule]) -> Plugins:
    """The rules of all plugins; `own` has those of gradls, whose codes and names are taken."""
    found = Plugins()
    folders = [folder for folder in own_folders() if _mentions_rules(folder)]
    if not folders:
        return found  # importlib.metadata takes long to import
    from importlib.metadata import distributions

    taken = {key: "gradls" for rule in own for key in (rule.code, rule.name)}
    for package, distribution in sorted(_named(distributions(path=folders)), key=lambda pair: pair[0]):
        entries = [entry for entry in distribution.entry_points if entry.group == GROUP]
        for entry in sorted(entries, key=lambda entry: entry.name):
            _load_entry(found, package, entry, taken)
    return found


def own_folders() -> list[str]:
    """Where the packages of gradls' environment are installed."""
    folders = [os.path.dirname(os.path.dirname(os.path.abspath(gradls.__file__)))]
    with contextlib.suppress(AttributeError):  # a Python that was made for one program has no such folders
        folders += site.getsitepackages()
        if site.ENABLE_USER_SITE:
            folders.append(site.getusersitepackages())
    return list(dict.fromkeys(map(os.path.realpath, folders)))


def _mentions_rules(folder: str) -> bool:
    """Whether a package in `folder` says that it has rules. Of a zip file that is not known beforehand."""
    try:
        with os.scandir(folder) as entries:
            named = [entry.path for entry in entries if entry.name.endswith((".dist-info", ".egg-info"))]
    except NotADirectoryError:
        return True
    except OSError:
        return False
    return any(_says_rules(os.path.join(path, "entry_points.txt")) for path in named)


def _says_rules(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return GROUP.encode() in file.read()
    except OSError:
        return False


def _named(distributions: Iterable[Distribution]) -> Iterator[tuple[str, Distribution]]:
    """The distributions with their names and versions; of one that is there twice, the one that is imported."""
    seen = set()
    for distribution in distributions:
        # What pip was interrupted at has no name.
        name = distribution.metadata["Name"] if distribution.metadata else None
        if name and name not in seen:
            seen.add(name)
            yield f"{name} {distribution.version}", distribution


def _load_entry(found: Plugins, package: str, entry: EntryPoint, taken: dict[str, str]) -> None:
    try:
        # What is printed is no part of what gradls prints.
        with _without_the_current_folder(), contextlib.redirect_stdout(sys.stderr):
            classes = list(_rule_classes(entry.load()))
    except (Exception, SystemExit) as error:
        found.problems.append(f"{package}: {entry.value} cannot be loaded: {_in_words(error)}")
        return
    if not classes:
        found.problems.append(f"{package}: {entry.value} has no rules")
    for cls in classes:
        objection = objection_to(cls, taken)
        try:
            rule = cls() if objection is None else None
        except (Exception, SystemExit) as error:
            objection = f"cannot be made: {_in_words(error)}"
        if objection is not None:
            found.problems.append(f"{package}: {cls.__name__} {objection}")
        elif rule is not None and not any(type(known) is cls for known in found.rules):
            rule.plugin = package
            taken[rule.code] = taken[rule.name] = package
            found.rules.append(rule)
    found.versions.append((package, _digest(entry.module)))


def _rule_classes(loaded: Any) -> Iterator[type[Rule]]:
    """An entry point names a rule, or a module with rules."""
    if isinstance(loaded, type):
        if not issubclass(loaded, Rule):
            raise TypeError(f"{loaded.__name__} is not derived from gradls.plugin.Rule")
        yield loaded
        return
    for value in vars(loaded).values():
        if isinstance(value, type) and issubclass(value, Rule) and "code" in vars(value):
            # It may import such of others.
            is_own = f"{value.__module__}.".startswith(f"{loaded.__name__}.")
            if is_own:
                yield value


def objection_to(cls: type[Rule], taken: dict[str, str]) -> str | None:
    """What is wrong with the class of a rule of others, as the end of a sentence; `taken` says whose codes and names
    there are."""
    code, name = getattr(cls, "code", None), getattr(cls, "name", None)
    if not isinstance(code, str) or not _CODE.fullmatch(code):
        return f"has the code {code!r}: it must be capital letters and a number, as in ACME101"
    if code.startswith(OWN_CODES):
        return f"has the code {code}: those that begin with {OWN_CODES} are gradls' own"
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        return f"has the name {name!r}: it must be words in small letters, as in lost-mask"
    for key in (code, name):
        if key in taken:
            return f"is called {key}, as is a rule of {taken[key]}"
    if not isinstance(getattr(cls, "severity", None), Severity):
        return f"has the severity {getattr(cls, 'severity', None)!r}, which is none"
    if cls.tag is not None and not isinstance(cls.tag, Tag):
        return f"has the tag {cls.tag!r}, which is none"
    if cls.check is Rule.check:
        return "has no method `check`"
    return None


def require_sound(rule: Rule, findings: Iterable[object]) -> list[Finding]:
    """What a rule of others found. TypeError if anything of it is not what it should be, or stands nowhere."""
    found = []
    for finding in findings:
        if not isinstance(finding, Finding) or finding.code != rule.code:
            raise TypeError(f"check() must give findings of its rule, made by self.finding(), not {finding!r}")
        if not isinstance(finding.message, str) or not isinstance(finding.severity, Severity):
            raise TypeError(f"{finding.message!r} with the severity {finding.severity!r} is no finding")
        for place in [finding.place, *(step.place for step in finding.story)]:
            place.source.span(place.node)
        found.append(finding)
    return found


def _digest(module: str) -> str:
    """What changes with the text of the modules that came with `module`: whoever writes a rule does not count versions
    all the time."""
    top = module.partition(".")[0]
    found = hashlib.blake2b(digest_size=16)
    for name, loaded in sorted(sys.modules.items()):
        file = getattr(loaded, "__file__", None)
        if file and (name == top or name.startswith(top + ".")):
            with contextlib.suppress(OSError), open(file, "rb") as source:
                found.update(name.encode() + b"\0" + source.read())
    return found.hexdigest()


@contextlib.contextmanager
def _without_the_current_folder() -> Iterator[None]:
    """`python -m` imports from the current folder first, which may be the workspace."""
    before, here, own = list(sys.path), os.path.realpath(os.curdir), own_folders()
    sys.path[:] = [
        folder for folder in before if os.path.realpath(folder or here) != here or os.path.realpath(folder) in own
    ]
    try:
        yield
    finally:
        added = [folder for folder in sys.path if folder not in before]
        sys.path[:] = [*before, *added]


def _in_words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
