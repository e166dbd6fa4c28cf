"""One name for everything that PyTorch offers under several."""

from __future__ import annotations

from functools import cache

from gradls.autograd.data import table

PREFIXES = (
    ("torch._C._VariableFunctions.", "torch."),
    ("torch._C._VariableFunctionsClass.", "torch."),
    ("torch._VF.", "torch."),
    ("torch._C._nn.", "torch.nn.functional."),
    ("torch._C._linalg.linalg_", "torch.linalg."),
    ("torch._C._special.special_", "torch.special."),
    ("torch._C._fft.fft_", "torch.fft."),
)
"""Where the functions that are not written in Python live. Type stubs and C name them like this."""


@cache
def canonical(name: str) -> str:
    """The public name of `name`, a full dotted name: "torch.nn.modules.linear.Linear" is "torch.nn.Linear",
    "torch._tensor.Tensor.backward" is "torch.Tensor.backward". A name that is not known is returned unchanged."""
    if not name.startswith("torch"):
        return name
    aliases = table("spelling")["aliases"]
    head, rest = name, ""
    while head:
        if head in aliases:
            return str(aliases[head]) + rest
        head, _, last = head.rpartition(".")
        rest = f".{last}{rest}"
    for private, public in PREFIXES:
        if name.startswith(private):
            return public + name.removeprefix(private)
    return name
