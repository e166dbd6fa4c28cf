"""GRD707."""

import ast
from collections.abc import Iterable

from gradls.flow.facts import Facts
from gradls.rules.finding import Finding, Severity
from gradls.rules.rule import Rule
from gradls.rules.statement_fixes import deleted
from gradls.rules.words import code, place


class AnomalyMode(Rule):
    """Anomaly detection that is switched on for good.

    ## What it finds
    `torch.autograd.set_detect_anomaly(True)` as a statement.

    ## Why it matters
    In this mode each operation keeps a traceback, and `backward()` checks each gradient for NaN. Training becomes
    several times slower. It is for finding an error, not for training.

    ## What PyTorch does
    Where the mode is entered with `detect_anomaly()` it warns

        UserWarning: Anomaly Detection has been enabled. This mode will increase the runtime

    ## Example
    ```python
    import torch

    torch.autograd.set_detect_anomaly(True)
    result = torch.ones(1, requires_grad=True) * 2
    assert "traceback_" in result.grad_fn.metadata
    ```

    ## Use instead
    A block around what is examined, for as long as it is examined.

    ```python
    import torch

    with torch.autograd.set_detect_anomaly(True):
        torch.ones(1, requires_grad=True).exp().backward()
    assert not torch.is_anomaly_enabled()
    ```

    ## When it is silent
    Where the value is not literally `True`, as of an option.

    ```python
    import torch

    debug = bool(torch.zeros(1))
    torch.autograd.set_detect_anomaly(debug)
    assert not torch.is_anomaly_enabled()
    ```

    ## Fix safety
    Suggested: it deletes the statement.

    ## References
    - https://docs.pytorch.org/docs/stable/autograd.html#torch.autograd.detect_anomaly
    """

    code, name, severity = "GRD707", "anomaly-mode", Severity.INFORMATION

    def check(self, facts: Facts) -> Iterable[Finding]:
        for event in facts.of("anomaly"):
            if not event.info["path"].endswith("set_detect_anomaly") or not isinstance(
                facts.parent(event.at.node), ast.Expr
            ):
                continue
            if event.call.known(0, "mode", default=True) is True:
                message = (
                    f"{code(facts, event.at.node)} makes every operation keep a traceback, and training several "
                    "times slower: remove it when the error is found"
                )
                yield self.finding(place(event.at), message, (), deleted(facts, event))
