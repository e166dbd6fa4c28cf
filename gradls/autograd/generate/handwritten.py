"""Operations that have no schema or no sample: conversions, access to data, what Python's own protocols call."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gradls.autograd.generate.facts import Facts
from gradls.autograd.generate.signatures import Signature

EXTRA_OUTPUTS = {
    "return_indices": "indices/none/int",
    "return_inverse": "inverse/none/int",
    "return_counts": "counts/none/int",
    "get_infos": "infos/none/int",
}
"""Parameters that, if true, add an output."""

GRADIENTS = {
    # The derivative of a quotient that is rounded, of an angle or a sign of a real number, is zero.
    **{f"{name}.{kind}_mode": "zero" for name in ("div", "div_", "divide", "divide_") for kind in ("Tensor", "Scalar")},
    **dict.fromkeys(("angle", "sgn", "sgn_", "normal.Tensor_Tensor", "normal.Tensor_float"), "zero"),
    "normal.float_Tensor": "zero",
    # These change the values and leave the history as it is.
    **dict.fromkeys(("logical_and_", "logical_or_", "logical_xor_", "logical_not_"), "flows"),
    **dict.fromkeys(("resize_", "resize_as_", "resize_as_sparse_"), "none"),
}
"""Native overloads of which the formula does not show what gradient they give."""

FREES = ("div.Scalar_mode", "div_.Scalar_mode")
"""Native overloads that free something, though their formula does not show it."""

DEVICES = ("scaled_dot_product_attention",)
"""Operations of which it depends on the device and its settings whether they can be differentiated twice."""

VIEWS = {"meshgrid": "expand", "unsafe_chunk": "no", "unsafe_split": "no", "unsafe_split_with_sizes": "no"}
"""What the schema does not tell: these expand; those share memory behind autograd's back."""


def signature(text: str) -> Signature:
    """A signature from words such as `input other:any dtype:dtype?=`; a word without a type is a tensor, what stands
    behind `*` is keyword-only, and a parameter with `...` before it is variadic."""
    params: list[str] = []
    types: list[str] = []
    variadic, positional = "", None
    for word in text.split():
        if word == "*":
            positional = len(params)
            continue
        name, _, kind = word.partition(":")
        if name.startswith("..."):
            name = variadic = name[3:]
        params.append(name)
        types.append(kind or "tensor")
    count = len(params) if positional is None else positional
    return Signature(tuple(params), tuple(types), {}, {}, count, variadic)


def made(name: str, text: str, gradient: str = "flows", dtype: str = "same", **words: Any) -> Facts:
    """Facts by hand. Tensors flow unless `differentiable` says otherwise or the gradient is none."""
    how = signature(text)
    facts = Facts(name, how, [["", gradient, dtype]])
    if gradient != "none":
        facts.differentiable = [p for p, t in zip(how.params, how.types, strict=True) if t.startswith("tensor")]
    for word, value in words.items():
        setattr(facts, word, value)
    # Conversions, views and copies: what comes in goes on.
    facts.second = dict.fromkeys(facts.differentiable, "additive")
    return facts


COPY = "input memory_format:any?="
MOVE = "input device:any?= non_blocking:bool= memory_format:any?="
OPTIONS = "* dtype:dtype?= layout:any?= device:any?= pin_memory:bool?= requires_grad:bool="

PYTHON_METHODS = """
    item tolist numpy dim ndimension size stride numel nelement data_ptr const_data_ptr get_device is_contiguous
    element_size storage_offset is_shared storage untyped_storage storage_type dim_order backward register_hook
    register_post_accumulate_grad_hook __len__ __bool__ __int__ __float__ __complex__ __index__ __contains__ __array__
    __repr__ __format__ __hash__ __dlpack__
"""

PYTHON_PROPERTIES = """
    device dtype grad_fn is_cpu is_cuda is_ipu is_leaf is_maia is_meta is_mkldnn is_mps is_mtia is_nested is_quantized
    is_sparse is_sparse_csr is_vulkan is_xla is_xpu itemsize layout name nbytes ndim output_nr requires_grad
    retains_grad shape volatile grad_dtype
"""

PYTHON_FUNCTIONS = """
    numel is_tensor is_storage get_device broadcast_shapes typename
"""


def methods() -> Iterator[Facts]:
    """Methods and properties of Tensor."""
    for name in PYTHON_METHODS.split():
        yield made(name, "input ...args:any=", "none", python=True)
    for name in PYTHON_PROPERTIES.split():
        yield made(name, "input", "none", python=True)
    yield made("contiguous", COPY, view="maybe", shape="same")
    for name in ("float", "double", "half", "bfloat16"):
        yield made(name, COPY, dtype="float", view="maybe", shape="same")
    for name in ("cfloat", "cdouble", "chalf"):
        yield made(name, COPY, dtype="complex", view="maybe", shape="same")
    for name in ("int", "long", "short", "byte", "char"):
        yield made(name, COPY, "none", "int", view="maybe", shape="same")
    yield made("bool", COPY, "none", "bool", view="maybe", shape="same")
    yield made("to", "input ...args:any= non_blocking:bool= copy:bool= memory_format:any?= dtype:dtype?= device:any?=",
               dtype="argument", view="maybe", shape="same")  # fmt: skip
    yield made("type", "input dtype:any?= non_blocking:bool=", dtype="argument", view="maybe", shape="same")
    for name in ("cpu", "cuda", "ipu", "xpu", "mtia"):
        yield made(name, MOVE if name != "cpu" else COPY, view="maybe", shape="same")
    yield made("copy_", "input src non_blocking:bool=", inplace=True, shape="same", differentiable=["src"])
    yield made("requires_grad_", "input requires_grad:bool=", view="maybe", shape="same")
    yield made("retain_grad", "input", "none", python=True)
    yield made("data", "input", "none", view="view", shape="same")
    yield made("grad", "input", "none", shape="same")
    yield made("detach", "input", "none", view="view", shape="same")
    yield made("detach_", "input", "none", inplace=True, shape="same")
    for name in ("T", "mT", "mH", "H"):
        yield made(name, "input", view="view" if name.endswith("T") else "maybe")
    yield made("real", "input", dtype="float", view="maybe", shape="same")
    yield made("imag", "input", dtype="float", view="view", shape="same")
    yield made("nonzero", "input * as_tuple:bool=", "none", "int")
    for name in ("apply_", "map_", "map2_"):
        yield made(name, "input ...args:any", "none", inplace=True, shape="same")
    yield made("set_", "input source:any?=", "none", inplace=True)
    yield made("share_memory_", "input", view="maybe", shape="same")
    yield made("as_subclass", "input cls:any", view="maybe", shape="same")
    yield made("new", "input ...args:any=", "none", factory=True)
    yield made("new_tensor", "input data:any " + OPTIONS, "none", "data", factory=True)
    yield made("__iter__", "input", view="multi", sequence=True)
    yield made("__getitem__", "input index:any", view="maybe", shape="index")
    yield made("__setitem__", "input index:any value:tensor", inplace=True, shape="same")
    yield made("to_sparse_coo", "input")


def functions() -> Iterator[Facts]:
    """Functions of torch."""
    for name in PYTHON_FUNCTIONS.split():
        yield made(name, "...args:any", "none", python=True)
    yield made("tensor", "data:any " + OPTIONS, "none", "data", factory=True)
    # Both return a tensor that they are given, still attached.
    yield made("as_tensor", "data:any dtype:dtype?= device:any?=", dtype="data", view="maybe", differentiable=["data"])
    yield made("asarray", "obj:any * dtype:dtype?= device:any?= copy:bool?= requires_grad:bool=",
               dtype="data", view="maybe", differentiable=["obj"])  # fmt: skip
    yield made("from_numpy", "ndarray:any", "none", "data", factory=True)
    yield made("from_dlpack", "ext_tensor:any", "none", "data", factory=True)
    yield made("frombuffer", "buffer:any * dtype:dtype count:int= offset:int= requires_grad:bool=", "none", "data",
               factory=True)  # fmt: skip
    yield made("range", "start:number= end:number= step:number= " + OPTIONS, "none", "data", factory=True)
    yield made("nonzero", "input * out:any?= as_tuple:bool=", "none", "int")
    yield made("detach", "input", "none", view="view", shape="same")
    yield made("detach_", "input", "none", inplace=True, shape="same")
    compressed = "compressed_indices plain_indices values size:ints?= " + OPTIONS
    yield made("sparse_compressed_tensor", compressed, differentiable=["values"])
    for name, first, second in (("csr", "crow", "col"), ("csc", "ccol", "row")):
        for word in (name, "b" + name[1:]):
            text = compressed.replace("compressed", first, 1).replace("plain", second)
            yield made(f"sparse_{word}_tensor", text, differentiable=["values"])
    yield made("sparse_coo_tensor", "indices values size:ints?= " + OPTIONS, differentiable=["values"])


SAME = {
    "torch.spmm": "torch.mm",
    "torch.dsmm": "torch.mm",
    "torch.hsmm": "torch.hspmm",
    "torch.saddmm": "torch.addmm",
}
"""Old names that PyTorch's code generator does not know."""


def handwritten(found: dict[str, list[Facts]]) -> dict[str, list[Facts]]:
    """What is written down here, by spelling."""
    entries = {f"torch.Tensor.{facts.name}": [facts] for facts in methods()}
    entries |= {f"torch.{facts.name}": [facts] for facts in functions()}
    return entries | {spelling: found[other] for spelling, other in SAME.items() if other in found}
