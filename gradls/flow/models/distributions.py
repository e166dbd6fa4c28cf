"""torch.distributions: samples, log-probabilities, entropies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradls.autograd.distributions import DISTRIBUTIONS, find_distribution
from gradls.flow.arguments import Call
from gradls.flow.models.registry import method
from gradls.flow.operations import cut_node, derived_tensor, edges_of, more_of, unknown_operation
from gradls.flow.values import Choice, Instance, Tensor, Value

if TYPE_CHECKING:
    from gradls.flow.run import Run

DISTRIBUTION = "torch.distributions.Distribution"


def create_distribution(run: Run, path: str, call: Call) -> Value:
    """A distribution keeps its parameters; what is computed from it reaches them."""
    instance = Instance(run.state, run.lib(path), run.at(call.node))
    if path in ("torch.distributions.kl_divergence", "torch.distributions.kl.kl_divergence"):
        return instance
    instance.data["sources"] = _sources([*call.values, *more_of(run, call)])
    inner = call.get(0, "base_distribution")
    if path.rpartition(".")[2] in _LOCATED:
        instance.data["location"] = call.get(_LOCATED[path.rpartition(".")[2]], "loc")
    elif path.endswith(".Independent") and isinstance(inner, Instance):
        instance.data["location"] = inner.data.get("location")
    return instance


_LOCATED = {
    **dict.fromkeys(("Normal", "Laplace", "Cauchy", "Gumbel", "MultivariateNormal", "LowRankMultivariateNormal"), 0),
    "StudentT": 1,
}
"""The distributions of which one parameter only says where they are: how wide they are does not depend on it."""


_CARRIED = (
    "mean", "stddev", "variance", "probs", "logits", "loc", "scale", "rate", "concentration", "concentration0",
    "concentration1", "df",
)  # fmt: skip
"""Attributes that are computed from the parameters. Not the mode, which may be the place of a maximum."""


def _of_width(distribution: Instance) -> list[Value]:
    """What tells how wide a distribution is."""
    location = distribution.data.get("location")
    return [source for source in distribution.data["sources"] if source is not location or location is None]


def _is_made_of_known(value: Value) -> bool:
    """Is it a distribution of which all parameters are known?"""
    return isinstance(value, Instance) and "sources" in value.data


def _sources(values: list[Value]) -> list[Value]:
    found: list[Value] = []
    for value in values:
        found += value.data.get("sources", [value]) if isinstance(value, Instance) else [value]
    return found


@method(DISTRIBUTION, "rsample", "log_prob", "entropy", "cdf", "icdf", "perplexity")
def differentiable(run: Run, receiver: Instance, call: Call) -> Value:
    name = getattr(getattr(call.node, "func", None), "attr", "log_prob")
    if "sources" not in receiver.data:
        # An object of a class of the program: what it keeps, and what it computes, is its own affair.
        return unknown_operation(run, name, [*receiver.fields.get(("kept",), ()), *call.values], call.node)
    sources = _of_width(receiver) if name in ("entropy", "perplexity") else receiver.data["sources"]
    result = derived_tensor(run, name, [*sources, *call.values], call.node, saves=True)
    if name == "log_prob" and isinstance(result, Tensor):
        # The same again, if somebody asks for it again.
        versions = [value.writes for value in (*sources, *call.values) if isinstance(value, Tensor)]
        result.node.fields["formula"] = (name, receiver, *call.values, *versions)
        run.event("log-prob", call.node, result, result.node, given=call.get(0, "value"))
    return result


@method(DISTRIBUTION, "sample", "sample_n")
def sample(run: Run, receiver: Instance, call: Call) -> Value:
    """Drawn under no_grad: no gradient goes to the parameters of the distribution."""
    bound = {str(number): value for number, value in enumerate(receiver.data.get("sources", []))}
    edges, _ = edges_of(run, bound, None)
    node = cut_node(run, "sample", "sample", edges, run.at(call.node))
    node.label = receiver.path
    spec = find_distribution(receiver.path)
    if spec is not None and spec.has_rsample == "no":
        node.fields["drawn"] = True
    # Those that are made of others draw what these draw.
    simple = spec is not None and spec.has_rsample != "base"
    dtype = "int" if receiver.path.endswith(".Categorical") else "float" if simple else None
    return Tensor(run.state, node, requires_grad=False, leaf=True, dtype=dtype)


def register() -> None:
    from gradls.flow.models.registry import ATTRIBUTES, FUNCTIONS

    def attribute(run: Run, value: Instance, node: object) -> Value:
        if "sources" not in value.data:
            return run.unknown("attribute")
        location = value.data.get("location")
        sources = value.data["sources"]
        if location is not None and getattr(node, "attr", "") in ("stddev", "variance", "scale"):
            sources = _of_width(value)
        elif location is not None and getattr(node, "attr", "") in ("mean", "loc"):
            sources = [location]
        return derived_tensor(run, "parameter", sources, node)  # type: ignore[arg-type]

    for cls in DISTRIBUTIONS:
        for name in _CARRIED:
            ATTRIBUTES[cls, name] = attribute

    def kl(run: Run, path: str, call: Call) -> Value:
        if any(isinstance(value, (Choice, Instance)) and not _is_made_of_known(value) for value in call.values):
            # By branch, or as the program's own class says.
            return unknown_operation(run, "kl_divergence", call.values, call.node)
        return derived_tensor(
            run, "kl_divergence", _sources([*call.values, *more_of(run, call)]), call.node, saves=True
        )

    FUNCTIONS["torch.distributions.kl_divergence"] = kl
    FUNCTIONS["torch.distributions.kl.kl_divergence"] = kl


register()
