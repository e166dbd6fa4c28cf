"""GRD403."""

import ast
from collections.abc import Iterable
from typing import NamedTuple

from gradls.flow.facts import Event, Facts
from gradls.flow.graph import Node
from gradls.flow.values import Choice, Host, Instance, Value
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity, Step
from gradls.rules.loss_activations import activation, by_branch, made_by
from gradls.rules.loss_arguments import Argument, argument, called, option, prediction, target
from gradls.rules.rule import Rule
from gradls.rules.words import code, place


class _Mistake(NamedTuple):
    severity: Severity
    what: str
    instead: str


_W, _I = Severity.WARNING, Severity.INFORMATION
_LOGITS = "give it the raw output"
_SMALL = "so the loss cannot come near zero and its gradient is small"
_MISTAKES: dict[tuple[str, str], _Mistake] = {
    ("cross_entropy", "softmax"): _Mistake(
        _W, f"applies softmax itself: probabilities go in as logits, {_SMALL}", _LOGITS
    ),
    ("cross_entropy", "sigmoid"): _Mistake(
        _W, f"applies softmax itself: what goes in is between 0 and 1, {_SMALL}", _LOGITS
    ),
    ("cross_entropy", "log_softmax"): _Mistake(
        _I, "applies log_softmax itself: the first one changes nothing", _LOGITS
    ),
    ("binary_cross_entropy_with_logits", "sigmoid"): _Mistake(
        _W, f"applies sigmoid itself: probabilities go in as logits, {_SMALL}", _LOGITS
    ),
    ("binary_cross_entropy_with_logits", "softmax"): _Mistake(
        _W, f"applies sigmoid itself: probabilities go in as logits, {_SMALL}", _LOGITS
    ),
    ("cross_entropy", "relu"): _Mistake(
        _I, "applies softmax itself: a logit that cannot be negative has no gradient wherever relu is 0", _LOGITS
    ),
    ("binary_cross_entropy_with_logits", "relu"): _Mistake(
        _W, "applies sigmoid itself: of what is never negative no probability is under one half", _LOGITS
    ),
    ("binary_cross_entropy_with_logits", "tanh"): _Mistake(
        _I, f"applies sigmoid itself: what goes in is between -1 and 1, {_SMALL}", _LOGITS
    ),
    ("nll_loss", "relu"): _Mistake(
        _W,
        "expects log-probabilities: of what is never negative the loss has no lower bound",
        "take log_softmax of the raw output, or use cross_entropy",
    ),
    ("nll_loss", "softmax"): _Mistake(
        _W,
        "expects log-probabilities: of probabilities the result is negative and its gradient wrong",
        "take log_softmax",
    ),
    ("nll_loss", "sigmoid"): _Mistake(
        _W,
        "expects log-probabilities: of probabilities the result is negative and its gradient wrong",
        "take log_softmax",
    ),
    ("nll_loss", "linear"): _Mistake(
        _W,
        "expects log-probabilities: of a raw output the loss has no lower bound",
        "take log_softmax first, or use cross_entropy",
    ),
    ("kl_div", "softmax"): _Mistake(
        _W, "expects log-probabilities first: of probabilities the result is no divergence", "take log_softmax"
    ),
    ("kl_div", "linear"): _Mistake(
        _W, "expects log-probabilities first: of a raw output the result is no divergence", "take log_softmax"
    ),
    ("kl_div", "relu"): _Mistake(
        _W, "expects log-probabilities first: of what is never negative the result is no divergence", "take log_softmax"
    ),
    ("ctc_loss", "linear"): _Mistake(
        _W,
        "expects log-probabilities: of a raw output the loss has no lower bound, and soon is NaN",
        "take log_softmax over the classes",
    ),
    ("ctc_loss", "softmax"): _Mistake(
        _W,
        "expects log-probabilities: of probabilities the result is negative and its gradient wrong",
        "take log_softmax",
    ),
    ("ctc_loss", "relu"): _Mistake(
        _W,
        "expects log-probabilities: of what is never negative the loss has no lower bound",
        "take log_softmax of the raw output",
    ),
    ("binary_cross_entropy", "relu"): _Mistake(
        _W,
        "expects probabilities, and raises for anything outside [0, 1]: this may be anything above 0",
        "apply sigmoid, or use binary_cross_entropy_with_logits",
    ),
    ("binary_cross_entropy", "linear"): _Mistake(
        _W,
        "expects probabilities, and raises for anything outside [0, 1]: this is a raw output",
        "apply sigmoid, or use binary_cross_entropy_with_logits",
    ),
    ("binary_cross_entropy", "log_softmax"): _Mistake(
        _W,
        "expects probabilities, and raises for anything outside [0, 1]: these are logarithms",
        "use binary_cross_entropy_with_logits on the raw output",
    ),
    ("binary_cross_entropy", "logsigmoid"): _Mistake(
        _W,
        "expects probabilities, and raises for anything outside [0, 1]: these are logarithms",
        "use binary_cross_entropy_with_logits on the raw output",
    ),
    ("binary_cross_entropy", "tanh"): _Mistake(
        _W,
        "expects probabilities, and raises for anything outside [0, 1]: this is between -1 and 1",
        "apply sigmoid, or use binary_cross_entropy_with_logits",
    ),
}
_RATE = _Mistake(
    _W,
    "expects the logarithm of the rate and applies exp itself: the rate is the exponential of an exponential",
    "give it the raw output, or say `log_input=False`",
)
_VARIANCE = _Mistake(
    _W, "expects a variance there, and raises for anything below 0: this is a raw output", "take exp or softplus of it"
)
_UNDONE = frozenset(("softmax", "sigmoid", "log_softmax"))
"""Activations of which the fix is to take them away, where the loss applies them itself."""
_APPLYING = {
    "nll_loss": ("cross_entropy", "CrossEntropyLoss"),
    "binary_cross_entropy": ("binary_cross_entropy_with_logits", "BCEWithLogitsLoss"),
}
"""The function and the criterion to use on raw outputs instead."""


class ActivationBeforeLoss(Rule):
    """A loss that gets probabilities where it expects logits, or the other way round.

    ## What it finds
    A softmax or sigmoid right before a loss that applies it itself (`cross_entropy`, `BCEWithLogitsLoss`), a missing
    one before a loss that does not (`NLLLoss`, `KLDivLoss`, `BCELoss`, `CTCLoss`), and probabilities where
    log-probabilities are expected; an exponential before `PoissonNLLLoss`, which takes the logarithm of the rate, and a
    raw output as the variance of `GaussianNLLLoss`. A relu or tanh before a loss that takes logits counts too, as
    information where it only limits what the model can say. The activation may be in the `forward` of the model, or the
    last layer of a `Sequential`; of several networks, by branch, it is information if none gives what the loss takes.

    ## Why it matters
    The model still trains a little, and badly: after a second softmax the loss of a perfect prediction over ten
    classes is 1.46, and gradients vanish as the model becomes sure. A negative log-likelihood of raw outputs falls
    forever.

    ## What PyTorch does
    It says nothing, except that `BCELoss` raises for values that are no probabilities:

        RuntimeError: all elements of input should be between 0 and 1

    ## Example
    ```python
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(3, 10), torch.nn.Softmax(dim=1))
    with torch.no_grad():
        model[0].bias.copy_(torch.tensor([0.0] * 9 + [100.0]))  # as sure as can be of class 9
    loss = torch.nn.functional.cross_entropy(model(torch.randn(8, 3)), torch.full((8,), 9))
    assert loss > 1.4
    ```

    ```python
    import torch

    model, criterion = torch.nn.Linear(3, 10), torch.nn.NLLLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    inputs, labels = torch.ones(8, 3), torch.full((8,), 9)
    for _ in range(10):
        loss = criterion(model(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < -10
    ```

    ```python
    import torch

    log_rate = torch.full((4,), 2.0)
    right = torch.nn.PoissonNLLLoss()(log_rate, torch.full((4,), 7.0))
    assert torch.nn.PoissonNLLLoss()(log_rate.exp(), torch.full((4,), 7.0)) > 100 * right.abs()
    ```

    ```python
    import torch

    mean, variance = torch.nn.Linear(3, 1), torch.nn.Linear(3, 1)
    torch.nn.init.constant_(variance.bias, -9.0)
    given, wanted = torch.rand(8, 3), torch.zeros(8, 1)
    torch.nn.GaussianNLLLoss()(mean(given), wanted, variance(given))  # raises ValueError: var has negative entry
    ```

    ## Use instead
    Raw outputs for `cross_entropy` and `binary_cross_entropy_with_logits`; `log_softmax` for `nll_loss` and `kl_div`.
    Apply softmax or sigmoid where probabilities are wanted: in evaluation.

    ```python
    import torch

    model = torch.nn.Linear(3, 10)
    outputs, labels = model(torch.randn(8, 3)), torch.randint(0, 10, (8,))
    loss = torch.nn.functional.cross_entropy(outputs, labels)
    same = torch.nn.functional.nll_loss(outputs.log_softmax(dim=1), labels)
    assert torch.allclose(loss, same)
    ```

    ## When it is silent
    Where anything else comes between the activation and the loss (a product, a sum, a logarithm), or where it depends
    on a branch.

    ```python
    import torch

    logits = torch.randn(8, 3, requires_grad=True)
    loss = torch.nn.functional.nll_loss((logits.softmax(dim=1) + 1e-6).log(), torch.randint(0, 3, (8,)))
    loss.backward()
    assert loss > 0
    ```

    ## Fix safety
    Suggested: it takes the activation away, or changes the loss to the one that applies it.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html
    - https://docs.pytorch.org/docs/stable/generated/torch.nn.NLLLoss.html
    - https://docs.pytorch.org/docs/stable/generated/torch.nn.BCEWithLogitsLoss.html
    """

    code, name, severity = "GRD403", "activation-before-loss", Severity.WARNING

    def check(self, facts: Facts) -> Iterable[Finding]:
        for event in facts.of("loss"):
            given = prediction(event)
            if given is None or _is_one_of_two_sorts(event):
                continue
            mistake = _MISTAKES.get((event.spec.name, activation(given)))
            if mistake is not None:
                yield self._report(facts, event, given, mistake)
            elif (worst := _worst_of(event, by_branch(given))) is not None:
                yield self._report_branch(facts, event, given, *worst)
            elif event.spec.name == "poisson_nll_loss":
                if activation(given) == "exp" and option(event, "log_input", True) is True:
                    yield self._report(facts, event, given, _RATE)
            elif event.spec.name == "gaussian_nll_loss":
                variance = argument(event, "var")
                if variance is not None and activation(variance) == "linear":
                    yield self._report(facts, event, variance, _VARIANCE)
            elif event.spec.name == "kl_div":
                yield from self._target_of_divergence(facts, event, given)

    def _report(self, facts: Facts, event: Event, given: Argument, mistake: _Mistake) -> Finding:
        made = made_by(given)
        what = code(facts, given.node) if given.node is not None else "the prediction"
        word = activation(given)
        comes = "the output of a layer" if word == "linear" else f"the result of {word}"
        message = f"{what} is {comes}, and `{called(event)}` {mistake.what}; {mistake.instead}"
        story = []
        if made is not None and made.at is not None and made.at.node is not event.at.node:
            story.append(Step(place(made.at), "it was made here"))
        return self.finding(place(event.at), message, story, _fixes(facts, event, word, made), mistake.severity)

    def _report_branch(self, facts: Facts, event: Event, given: Argument, word: str, made: Node) -> Finding:
        """One of several networks, none of which gives its raw output."""
        mistake = _MISTAKES[event.spec.name, word]
        what = code(facts, given.node) if given.node is not None else "the prediction"
        message = (
            f"{what} is the result of {word} on one branch, and `{called(event)}` {mistake.what}; {mistake.instead} on "
            "each of them"
        )
        story = [Step(place(made.at), "it was made here")] if made.at is not None else []
        return self.finding(place(event.at), message, story, severity=Severity.INFORMATION)

    def _target_of_divergence(self, facts: Facts, event: Event, given: Argument) -> Iterable[Finding]:
        """A target that is not what `log_target` says: logarithms, probabilities, or neither."""
        wanted = target(event)
        says_log = option(event, "log_target", False)
        if wanted is None or activation(given) != "log_softmax" or says_log not in (True, False):
            return
        mistake = _TARGETS_OF_DIVERGENCE.get((activation(wanted), says_log is True))
        if mistake is not None:
            what = code(facts, wanted.node) if wanted.node is not None else "the target"
            yield self.finding(place(event.at), f"{what} is {mistake.replace('LOSS', called(event))}")


def _worst_of(event: Event, found: dict[str, Node]) -> tuple[str, Node] | None:
    """The activation that is wrong before this loss, on one of several branches each of which has one that does not
    belong there. Where some branch is right, the others may be decided with another loss."""
    mistakes = [(word, _MISTAKES.get((event.spec.name, word))) for word in found]
    if len(found) < 2 or any(mistake is None for _, mistake in mistakes):
        return None
    word = next((word for word, mistake in mistakes if mistake and mistake.severity is Severity.WARNING), None)
    return None if word is None else (word, found[word])


def _is_one_of_two_sorts(event: Event) -> bool:
    """Is the criterion this one on some branch only, and on others one that computes or is told something else? What
    it is given may be decided with it."""
    path = event.path
    while path is not None:
        if isinstance(path[1], Choice) and path[2] is event.criterion:
            return len({_sort(one) for one in path[1].options}) > 1
        path = path[0]
    return False


def _sort(criterion: Value) -> tuple[str, object]:
    if not isinstance(criterion, Instance):
        return "", None
    told = criterion.data.get("options", {}).get("log_target")
    return criterion.path, told.value if isinstance(told, Host) else told


_TARGETS_OF_DIVERGENCE = {
    ("log_softmax", False): (
        "the result of log_softmax, and `LOSS` expects probabilities as the target: the result is NaN; say "
        "`log_target=True`"
    ),
    ("softmax", True): (
        "the result of softmax, and with `log_target=True` `LOSS` expects log-probabilities as the target: the result "
        "is no divergence; take log_softmax"
    ),
    ("linear", False): (
        "the output of a layer, and `LOSS` expects probabilities as the target: the result is no divergence, and NaN "
        "where the output is negative; take softmax"
    ),
    ("linear", True): (
        "the output of a layer, and with `log_target=True` `LOSS` expects log-probabilities as the target: the result "
        "is no divergence; take log_softmax"
    ),
}
"""By what the target is, and whether the call says that it is in logarithms."""


def _layer(facts: Facts, call: ast.AST) -> Instance | None:
    """The layer that a call such as `self.softmax(x)` runs."""
    for function, _, _ in facts.evaluations(call):
        if isinstance(function, Instance):
            return function
    return None


def _logarithm(facts: Facts, made: Node | None) -> list[Fix]:
    """The function or layer that gives the logarithms, in the place of the one that gives probabilities."""
    at = None if made is None else made.layer or made.at
    layer = _layer(facts, at.node) if at is not None else None
    if layer is not None:
        at = layer.at
    if at is None or not isinstance(at.node, ast.Call) or not isinstance(at.node.func, ast.Attribute):
        return []
    new = {"softmax": "log_softmax", "Softmax": "LogSoftmax"}.get(at.node.func.attr)
    if new is None:
        return []
    return [Fix(f"Use {new}", Safety.SUGGESTED, edits.rename_attribute(Place(at.source, at.node.func), new))]


def _fixes(facts: Facts, event: Event, word: str, made: Node | None) -> list[Fix]:
    name = event.spec.name
    if word in _UNDONE and name in ("cross_entropy", "binary_cross_entropy_with_logits"):
        if made is None or made.at is None or not isinstance(made.at.node, ast.Call):
            return []
        function = made.at.node.func
        if not isinstance(function, ast.Attribute) or function.attr not in ("softmax", "sigmoid", "log_softmax"):
            return []
        if _layer(facts, made.at.node) is not None:
            return [Fix(f"Take the {word} away", Safety.SUGGESTED, edits.unwrap_call(place(made.at)))]
        of_tensor = not (isinstance(function.value, ast.Name) and function.value.id in ("torch", "F", "functional"))
        if of_tensor and isinstance(function.value, ast.Attribute):
            return []
        build = edits.remove_call(place(made.at)) if of_tensor else edits.unwrap_call(place(made.at))
        return [Fix(f"Take the {word} away", Safety.SUGGESTED, build)]
    if word == "softmax" and name in ("nll_loss", "kl_div", "ctc_loss"):
        return _logarithm(facts, made)
    if word == "linear" and name == "ctc_loss":
        given = prediction(event)
        if given is None or not isinstance(given.node, ast.expr):
            return []
        build = edits.add_call(Place(event.at.source, given.node), ".log_softmax(-1)")
        return [Fix("Take log_softmax", Safety.SUGGESTED, build)]
    replaced = _APPLYING.get(name)
    if word != "linear" or replaced is None:
        return []
    # A bare name would need an import of its own.
    made_at = event.at if event.criterion is None else event.criterion.at
    if made_at is None or not isinstance(made_at.node, ast.Call) or not isinstance(made_at.node.func, ast.Attribute):
        return []
    new = replaced[0] if event.criterion is None else replaced[1]
    renamed = edits.rename_attribute(Place(made_at.source, made_at.node.func), new)
    return [Fix(f"Use {new}", Safety.SUGGESTED, renamed)]
