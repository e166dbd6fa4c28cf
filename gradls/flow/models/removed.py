"""Operations that PyTorch once had, with the meaning that they had: gradient flowed through them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gradls.flow.arguments import Call
from gradls.flow.contents import tensors_in
from gradls.flow.models.registry import FUNCTIONS, METHODS, Model
from gradls.flow.operations import derived_tensor
from gradls.flow.values import Sequence, Tensor, Value

if TYPE_CHECKING:
    from gradls.flow.run import Run


class Removed(NamedTuple):
    """What took the place of an operation, how many tensors it returned, and what is otherwise now."""

    now: str
    results: int = 1
    otherwise: str = ""


_MATRIX_FIRST = ", which takes the matrix first, and the right-hand side after it"
_COMPLEX = ", which is about complex tensors: `torch.view_as_real` and `torch.view_as_complex` convert"

REMOVED = {
    "symeig": Removed("torch.linalg.eigh", 2),
    "eig": Removed("torch.linalg.eig", 2),
    "lstsq": Removed("torch.linalg.lstsq", 2, _MATRIX_FIRST),
    "solve": Removed("torch.linalg.solve", 2, f"{_MATRIX_FIRST}, and gives the solution only"),
    "matrix_rank": Removed("torch.linalg.matrix_rank", 0),
    "gesv": Removed("torch.linalg.solve", 2, f"{_MATRIX_FIRST}, and gives the solution only"),
    "gels": Removed("torch.linalg.lstsq", 2, _MATRIX_FIRST),
    "potrf": Removed("torch.linalg.cholesky", 1, ", whose factor is lower triangular unless `upper=True`"),
    "potri": Removed("torch.cholesky_inverse"),
    "potrs": Removed("torch.cholesky_solve", 1, ", whose factor is lower triangular unless `upper=True`"),
    "trtrs": Removed("torch.linalg.solve_triangular", 2),
    "btrifact": Removed("torch.linalg.lu_factor", 2),
    "btrisolve": Removed("torch.linalg.lu_solve"),
    "rfft": Removed("torch.fft.rfft", 1, _COMPLEX),
    "irfft": Removed("torch.fft.irfft", 1, _COMPLEX),
    "ifft": Removed("torch.fft.ifft", 1, _COMPLEX),
    "fft": Removed("torch.fft.fft", 1, _COMPLEX),
}
"""By the name that they had as functions of torch and, all of them, as methods of tensors."""


def apply_removed(run: Run, name: str, call: Call, receiver: Value | None = None) -> Value:
    """Compute what the operation did, and write down that it is no more."""
    entry = REMOVED[name]
    how = entry.otherwise
    run.event("removed-operation", call.node, receiver, name=name, now=entry.now, how=how, method=receiver is not None)
    values = [*([receiver] if receiver is not None else []), *call.values]
    sources = [part for value in values for part in tensors_in(value)]
    if entry.results == 0:
        return run.leaf(name, call.node, dtype="int", shape=())
    results = [derived_tensor(run, name, sources, call.node, saves=True) for _ in range(entry.results)]
    return results[0] if entry.results == 1 else Sequence(run.state, "tuple", tuple(results))


def register() -> None:
    def function(name: str) -> Model:
        def model(run: Run, path: str, call: Call) -> Value:
            return apply_removed(run, name, call)

        return model

    def method(name: str) -> Model:
        def model(run: Run, receiver: Tensor, call: Call) -> Value:
            return apply_removed(run, name, call, receiver)

        return model

    for name in REMOVED:
        FUNCTIONS[f"torch.{name}"] = function(name)
        METHODS["torch.Tensor", name] = method(name)


register()
