"""GRD712."""

from collections.abc import Iterator

from gradls.flow.facts import Facts
from gradls.rules.finding import Finding, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.saved_tensors import shown
from gradls.rules.words import code, place


class GradModeOfThread(Rule):
    """A thread does not take over the grad mode of the code that starts it.

    ## What it finds
    `Thread(target=...).start()`, and `submit` or `map` of a `ThreadPoolExecutor`, where gradients are switched off, for
    a function that computes something with a gradient.

    ## Why it matters
    Grad mode belongs to a thread, and every thread begins with gradients on. What it computes keeps its graph, with all
    the memory that it holds, though it stands inside `with torch.no_grad():`.

    ## What PyTorch does
    Nothing: the results in the thread require grad.

    ## Example
    ```python
    import threading

    import torch

    model, results = torch.nn.Linear(3, 1), []


    def predict(inputs):
        results.append(model(inputs))


    with torch.no_grad():
        thread = threading.Thread(target=predict, args=(torch.randn(8, 3),))
        thread.start()
        thread.join()
    assert results[0].requires_grad
    ```

    ## Use instead
    Switch gradients off inside the function that the thread runs.

    ```python
    import threading

    import torch

    model, results = torch.nn.Linear(3, 1), []


    @torch.no_grad()
    def predict(inputs):
        results.append(model(inputs))


    thread = threading.Thread(target=predict, args=(torch.randn(8, 3),))
    thread.start()
    thread.join()
    assert not results[0].requires_grad
    ```

    ## When it is silent
    Where the thread computes nothing that requires grad, and where what it does is not known.

    ## Fix safety
    There is none.

    ## References
    - https://docs.pytorch.org/docs/stable/notes/autograd.html#locally-disabling-gradient-computation
    """

    code, name, severity = "GRD712", "grad-mode-of-thread", Severity.INFORMATION

    def check(self, facts: Facts) -> Iterator[Finding]:
        for event in facts.of("thread-start"):
            use = event.uses[0]
            message = (
                f"{shown(facts, event.off)} does not reach the thread that {code(facts, event.at.node)} starts: "
                f"{shown(facts, use)} keeps its graph there. Switch gradients off inside the function"
            )
            story = [Step(place(event.off), "gradients are off here"), Step(place(use), "and on again here")]
            yield self.finding(place(event.at), message, story)
