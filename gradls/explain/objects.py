"""Modules and optimizers in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gradls.explain.names import Names
from gradls.explain.places import where
from gradls.flow.facts import Event, Facts
from gradls.flow.hierarchy import is_module
from gradls.flow.models.optimizers import held
from gradls.flow.values import Host, Instance, Mapping, Sequence, Tensor, Value

OPTIMIZERS = "torch.optim."
MOST_NAMES = 6


def about_object(facts: Facts, written: str, value: Instance) -> list[str]:
    """Paragraphs about a module or an optimizer; none about other objects."""
    if value.path.startswith(OPTIMIZERS):
        return list(_about_optimizer(facts, written, value))
    if is_module(value):
        return list(_about_module(facts, written, value))
    return []


def _about_module(facts: Facts, written: str, module: Instance) -> Iterator[str]:
    parameters, whole = Names.of(facts).parameters(module)
    cls = value_class(module)
    if not parameters:
        yield f"**{written} is a `{cls}` without parameters.**" if whole else f"**{written} is a `{cls}`.**"
        if not whole:
            yield "Its parameters are not known."
        return
    flags = flags_of(facts, parameters)
    trained = [leaf for leaf in parameters if flags[leaf] is True]
    frozen = [leaf for leaf in parameters if flags[leaf] is False]
    if not whole:
        yield f"**{written} is a `{cls}` with more parameters than are known here.**"
        known = f"{len(trained)} trained" + (f", {len(frozen)} frozen" if frozen else "")
        yield f"Of those that are known: {known}."
    elif not frozen and len(trained) == len(parameters):
        yield f"**{written} is a `{cls}` with {_count(len(trained), 'parameter')}, all of them trained.**"
    else:
        unclear = len(parameters) - len(trained) - len(frozen)
        parts = [f"{len(trained)} trained", f"{len(frozen)} frozen", *([f"{unclear} by branch"] if unclear else [])]
        yield f"**{written} is a `{cls}` with {_count(len(parameters), 'parameter')}: {', '.join(parts)}.**"
    if frozen and trained:
        yield f"Frozen: {_listed([parameters[leaf] for leaf in frozen])}."


def flags_of(facts: Facts, parameters: Iterable[Tensor]) -> dict[Tensor, bool | None]:
    """Whether these require grad in the end."""
    flags = {leaf: leaf.requires_grad for leaf in parameters}
    for event in facts.of("freeze", "requires-grad-set"):
        changed = event.parameters if event.kind == "freeze" else [event.value]
        for leaf in changed:
            if leaf in flags:
                flags[leaf] = event.flag if event.path is None or flags[leaf] is event.flag else leaf.requires_grad
    return flags


def value_class(value: Instance) -> str:
    """The name of an object's class."""
    return value.path.rpartition(".")[2] or str(getattr(value.cls, "name", "object"))


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _listed(names: list[str]) -> str:
    quoted = [f"`{name}`" for name in names[:MOST_NAMES]]
    return ", ".join(quoted) + (f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else "")


def _about_optimizer(facts: Facts, written: str, optimizer: Instance) -> Iterator[str]:
    events = [event for event in facts.of("optimizer-made", "group-added") if event.value is optimizer]
    if not events or events[0].kind != "optimizer-made":
        return
    names = Names.of(facts)
    leaves = list(dict.fromkeys(leaf for event in events for leaf in event.parameters))
    cls = value_class(optimizer)
    unsure = any(event.open for event in events) or any(map(names.is_vague, leaves))
    if not leaves:
        nothing = "not known which parameters" if unsure else "no parameters"
        yield (
            f"**{written} is a `{cls}`; it is {nothing} it steps.**"
            if unsure
            else (f"**{written} is a `{cls}` with no parameters.**")
        )
    elif unsure:
        yield f"**{written} is a `{cls}` that steps {names.listed(leaves, MOST_NAMES)} and perhaps others.**"
    else:
        yield f"**{written} is a `{cls}` that steps {_count(len(leaves), 'parameter')}.**"
    groups = [group for event in events for group in _groups(event)]
    default = _rate(events[0].call.get(1, "lr"))
    lines = []
    for tensors, rate, complete in groups:
        said = rate or default
        which = names.listed(tensors, MOST_NAMES) if tensors else "parameters that are not known"
        lines.append(f"- {which}{'' if complete else ' and perhaps others'}{f', learning rate {said}' if said else ''}")
    if lines and (leaves or len(lines) > 1):
        yield "\n".join(lines[:8])
    frozen = [leaf for leaf, flag in flags_of(facts, leaves).items() if flag is False]
    if frozen:
        yield f"Frozen, so that it does nothing for them: {names.listed(frozen)}."
    yield f"Made on {where(facts, events[0].at)}."


def _groups(event: Event) -> Iterator[tuple[list[Tensor], str, bool]]:
    """The tensors of each group, its own learning rate if it has one, and whether these are all."""
    given = event.given
    if isinstance(given, Sequence) and any(isinstance(item, Mapping) for item in given.items):
        groups: list[Value] = list(given.items)
    else:
        groups = [given] if given is not None else []
    for group in groups:
        if isinstance(group, Mapping):
            tensors, more = held(group)
            yield tensors, _rate(group.entries.get("lr")), not more
        elif len(groups) == 1:
            yield list(event.parameters), "", not event.open
        else:
            tensors, more = held(group)
            yield tensors, "", not more


def _rate(value: Value | None) -> str:
    return f"{value.value:g}" if isinstance(value, Host) and value.known and isinstance(value.value, float) else ""
