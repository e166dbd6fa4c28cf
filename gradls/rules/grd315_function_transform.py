"""GRD315."""

from collections.abc import Iterator

from gradls.flow.facts import Facts
from gradls.rules.finding import Finding, Severity
from gradls.rules.rule import Rule
from gradls.rules.words import code, place

WORDS = {
    "returns-several": "`{kind}` needs a function that returns a scalar: reduce its result, or use `torch.func.jacrev`",
    "returns-no-tensor": "`{kind}` needs a function that returns a tensor; for more there is `has_aux=True` in `grad`",
    "to-number": "under `vmap` there is no single number to read. Keep the tensor",
    "tensor-truth": "under `vmap` a test has as many answers as there are rows. Use `torch.where`",
    "write": "it writes a value of the transform into a tensor from outside of it. Make a new tensor",
    "random": "`vmap` refuses random operations. Say `randomness='different'` or `'same'`",
    "requires-grad": "a transform turns gradients on by itself. Leave `requires_grad_()` out",
    "backward": "`backward()` cannot be called inside of `{kind}`. Use `torch.func.grad`",
    "sizes": "the arguments have different sizes in the dimension that `vmap` maps over. Give `in_dims`",
    "not-tensor": "`{kind}` needs a tensor there",
    "argnums": "`argnums` names an argument that is not given",
    "primals": "the arguments of the function, and their tangents, are given as tuples: `(x,)`",
    "no-setup-context": "a custom Function inside of `{kind}` needs a `setup_context`, and a `forward` without context",
    "no-level": "dual tensors belong to a level. Put it into `with torch.autograd.forward_ad.dual_level():`",
    "nested-level": "there is a level already, and levels cannot be nested",
    "integer-dual": "a tensor and its tangent are floating-point numbers",
    "dual-size": "a tangent has the shape of its tensor",
    "no-forward": "this operation has no derivative in forward mode. Use `torch.func.vjp` or `jacrev`",
    "needs-tensor": "the function given to `{kind}` must return a tensor or a tuple of tensors",
    "single-element": "the function given to `{kind}` must return a single number. Reduce it, or use `jacobian`",
    "no-vector": "the function returns several numbers, so the vector `v` must be given",
    "no-input-vector": "the input has several elements, so the vector `v` must be given",
    "independent": "with `strict=True` the result of the function must depend on the input, and it does not",
    "unused": "the function does not use this argument: it computes with something else in its place, such as the own "
    "parameters of a module instead of the given ones (`torch.func.functional_call`)",
    "no-jvp": "in forward mode a custom Function needs a `jvp` method. Write one, or use `torch.func.vjp` or `jacrev`",
    "no-vmap-rule": "a custom Function under `vmap` needs `generate_vmap_rule = True` or a `vmap` method",
}


class FunctionTransform(Rule):
    """A function does what a transform, or a derivative of it in torch.autograd, does not allow.

    ## What it finds
    Functions given to `torch.func.grad`, `vmap`, `jacrev`, `jacfwd` or `hessian` that return the wrong thing (several
    numbers or none for `grad`, a Python number for `vmap`); that read or test a single number under `vmap`; that write
    into tensors from outside, call `backward()` or `requires_grad_()`, or use a custom Function that is not made for
    it; and arguments that do not fit.

    Functions given to `hessian` and its like in `torch.autograd.functional` that return several numbers or no tensor;
    `vjp` without the vector that it needs; dual tensors without a level, of integers, or with a tangent of another
    shape; and operations, or custom Functions without `jvp`, that have no derivative in forward mode.

    As a warning, a function given to `torch.func.grad` that does not compute with the argument: a loss that calls
    `model(x)` where it was given the parameters.

    ## Why it matters
    A transform runs the function once, on tensors that stand for many: for all rows at once, or for a value and its
    derivative. What needs one definite number cannot be done with them.

    ## What PyTorch does
    It raises, for example

        RuntimeError: grad_and_value(f)(*args): Expected f(*args) to return a scalar Tensor

        RuntimeError: vmap: It looks like you're calling .item() on a Tensor.

        RuntimeError: vmap: It looks like you're attempting to use a Tensor in some data-dependent control flow.

        RuntimeError: vmap: called random operation while in randomness error mode.

    ## Example
    ```python
    import torch

    slope = torch.func.grad(torch.sin)
    slope(torch.randn(3))  # raises RuntimeError: Expected f(*args) to return a scalar Tensor
    ```

    ```python
    import torch

    def largest(row):
        return row.max().item()

    torch.vmap(largest)(torch.randn(4, 3))  # raises RuntimeError: vmap: It looks like you're calling .item()
    ```

    ```python
    import torch

    def rectified(row):
        if row.sum() > 0:
            return row
        return -row

    torch.vmap(rectified)(torch.randn(4, 3))  # raises RuntimeError: data-dependent control flow
    ```

    ```python
    import torch

    torch.autograd.functional.hessian(torch.sin, torch.randn(2))  # raises RuntimeError: should contain a single element
    ```

    ```python
    import torch
    import torch.autograd.forward_ad as fw

    dual = fw.make_dual(torch.randn(2), torch.ones(2))  # raises RuntimeError: Trying to create a dual Tensor
    ```

    ```python
    import torch
    import torch.autograd.forward_ad as fw


    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, gradient):
            return gradient * 2


    with fw.dual_level():
        dual = fw.make_dual(torch.randn(2), torch.ones(2))
        Double.apply(dual)  # raises NotImplementedError: You must implement the jvp function
    ```

    ```python
    import torch

    points, tangents = (torch.randn(3, 2),), (torch.ones(3, 2),)
    torch.func.jvp(lambda x: torch.cdist(x, x), points, tangents)  # raises NotImplementedError: forward AD
    ```

    ## Use instead
    ```python
    import torch

    def rectified(row):
        return torch.where(row.sum() > 0, row, -row)

    torch.vmap(rectified)(torch.randn(4, 3))
    gradient = torch.func.grad(lambda x: torch.sin(x).sum())(torch.randn(3))
    noisy = torch.vmap(torch.nn.functional.dropout, randomness="different")(torch.randn(4, 3))
    assert gradient.shape == (3,)
    ```

    ```python
    import torch
    import torch.autograd.forward_ad as fw

    hessian = torch.autograd.functional.hessian(lambda x: torch.sin(x).sum(), torch.randn(2))
    with fw.dual_level():
        dual = fw.make_dual(torch.randn(2), torch.ones(2))
        tangent = fw.unpack_dual(torch.sin(dual)).tangent
    assert hessian.shape == (2, 2) and tangent.shape == (2,)
    ```

    ## When it is silent
    Where it is not known what the function does or returns.

    ```python
    import torch

    offset = torch.ones(3)
    rows = torch.vmap(lambda row: row * offset.sum().item())(torch.randn(4, 3))
    value, aux = torch.func.grad(lambda x: (x.sum(), x), has_aux=True)(torch.randn(3))
    assert rows.shape == (4, 3)
    ```

    ## Fix safety
    There is none.

    ## References
    - https://docs.pytorch.org/docs/stable/func.ux_limitations.html
    - https://docs.pytorch.org/docs/stable/generated/torch.func.grad.html
    - https://docs.pytorch.org/docs/stable/generated/torch.vmap.html
    """

    code, name, severity = "GRD315", "function-transform", Severity.ERROR

    def check(self, facts: Facts) -> Iterator[Finding]:
        for event in facts.of("transform-fault"):
            if not event.caught:
                words = WORDS[event.fault].format(kind=event.transform)
                message, severity = f"{code(facts, event.at.node)} raises: {words}", self.severity
                if event.fault == "unused":
                    message, severity = f"{code(facts, event.at.node)} gives zeros: {words}", Severity.WARNING
                if event.fault == "no-level" and event.alone:
                    message, severity = f"{message}, unless the caller has opened one", Severity.INFORMATION
                yield self.finding(place(event.at), message, severity=severity)
