"""Looking operations up."""

from __future__ import annotations

import subprocess
import sys

import pytest

from gradls.autograd.calls import select
from gradls.autograd.ops import Op, Output, Saved, find_op, spellings


def op(spelling: str) -> Op:
    found = find_op(spelling)
    assert found is not None, spelling
    return found


@pytest.mark.parametrize(
    "spelling",
    [
        "torch.exp",
        "torch.einsum",
        "torch.tensor",
        "torch.nn.functional.relu",
        "torch.nn.functional.gelu",
        "torch.nn.functional.logsigmoid",
        "torch.nn.functional.scaled_dot_product_attention",
        "torch.linalg.norm",
        "torch.special.bessel_j0",
        "torch.fft.fft",
        "torch.Tensor.exp",
        "torch.Tensor.add_",
        "torch.Tensor.__add__",
        "torch.Tensor.__radd__",
        "torch.Tensor.__iadd__",
        "torch.Tensor.__rsub__",
        "torch.Tensor.__pow__",
        "torch.Tensor.__matmul__",
        "torch.Tensor.__neg__",
        "torch.Tensor.__invert__",
        "torch.Tensor.__lt__",
        "torch.Tensor.__getitem__",
        "torch.Tensor.__setitem__",
        "torch.Tensor.item",
        "torch.Tensor.T",
        "torch.Tensor.shape",
        "torch.Tensor.to",
        "torch.Tensor.split",
    ],
)
def test_every_family_of_spellings_is_known(spelling: str) -> None:
    assert op(spelling).params


@pytest.mark.parametrize("spelling", ["torch.no_such_thing", "exp", "torch", "torch.Tensor", "numpy.exp", ""])
def test_unknown_spellings_give_none(spelling: str) -> None:
    assert find_op(spelling) is None


def test_every_stored_operation_can_be_read() -> None:
    everything = list(spellings())
    assert len(everything) > 1400
    for spelling in everything:
        found = op(spelling)
        for each in (found, *found.overloads):
            # What overloads agree on may name a parameter that not all of them have.
            assert each.overloads or each.differentiable <= set(each.params), spelling
            assert each.frees_when <= each.differentiable, spelling
            assert each.raises_when <= each.differentiable, spelling
            assert not each.refuses & each.differentiable, spelling
            assert each.frees == bool(each.frees_when)
            assert len(each.types) == len(each.params) >= each.positional
            assert each.outputs or each.python
            for saved in each.saved:
                assert each.overloads or saved.what in each.params or saved.what.startswith("result"), spelling
                assert set(saved.gates) <= each.differentiable, spelling
                assert not (each.inplace and saved.what == "input"), spelling
            for output in each.outputs:
                assert output.gradient in ("flows", "none", "zero", "raises", "unknown")


WORDS = {
    "torch.exp": {"saved": (Saved("result"),), "shape": "same", "outputs": (Output("", "flows", "float"),)},
    "torch.sin": {"saved": (Saved("input"),), "frees": True},
    "torch.add": {"saved": (), "frees": False, "shape": "broadcast", "outputs": (Output("", "flows", "promote"),)},
    "torch.mul": {"saved": (Saved("input", ("other",)), Saved("other", ("input",))), "frees": True},
    "torch.Tensor.__iadd__": {"inplace": True, "saved": (), "frees": False},
    "torch.Tensor.mul_": {"inplace": True, "saved": (Saved("other", ("input",)),), "frees": True},
    "torch.Tensor.exp_": {"inplace": True, "saved": (Saved("result"),)},
    "torch.argmax": {"outputs": (Output("", "none", "int"),), "differentiable": frozenset()},
    "torch.round": {"outputs": (Output("", "zero", "same"),)},
    "torch.heaviside": {"outputs": (Output("", "raises", "same"),)},
    "torch.histc": {"outputs": (Output("", "none", "same"),)},
    "torch.topk": {"outputs": (Output("values", "flows", "same"), Output("indices", "none", "int"))},
    "torch.Tensor.view_as": {"view": "view"},
    "torch.Tensor.reshape": {"view": "maybe"},
    "torch.Tensor.contiguous": {"view": "maybe"},
    "torch.Tensor.split": {"view": "multi", "sequence": True},
    "torch.chunk": {"view": "multi", "sequence": True},
    "torch.Tensor.expand": {"view": "expand"},
    "torch.zeros": {"factory": True, "outputs": (Output("", "none", "float"),)},
    "torch.randperm": {"factory": True},
    "torch.Tensor.detach": {"view": "view", "outputs": (Output("", "none", "same"),)},
    "torch.Tensor.item": {"python": True},
    "torch.nn.functional.mse_loss": {"shape": "loss"},
    "torch.nn.functional.linear": {"saved": (Saved("input", ("weight",)), Saved("weight", ("input",)))},
    "torch.nn.functional.embedding": {"differentiable": frozenset({"weight"})},
    "torch.nn.functional.soft_margin_loss": {"refuses": frozenset({"target"})},
    "torch.igamma": {"raises_when": frozenset({"input"}), "differentiable": frozenset({"input", "other"})},
}


@pytest.mark.parametrize("spelling", WORDS)
def test_facts(spelling: str) -> None:
    found = op(spelling)
    assert {name: getattr(found, name) for name in WORDS[spelling]} == WORDS[spelling]


def test_aliases_of_one_operation_share_it() -> None:
    assert op("torch.arccos").saved == op("torch.acos").saved
    assert op("torch.Tensor.__truediv__").overloads == op("torch.Tensor.div").overloads


def test_parameters_follow_the_python_signature() -> None:
    assert op("torch.where").overloads[1].params[:3] == ("condition", "input", "other")
    assert op("torch.Tensor.where").overloads[0].params == ("input", "condition", "other")
    assert op("torch.nn.functional.cross_entropy").params[:3] == ("input", "target", "weight")
    assert dict(op("torch.nn.functional.mse_loss").defaults)["reduction"] == "mean"
    add = op("torch.add")
    assert add.params[add.positional :] == ("alpha", "out")


def test_inplace_true_changes_what_is_saved() -> None:
    plain = op("torch.nn.functional.leaky_relu")
    assert plain.saved == (Saved("input"),)
    assert not plain.inplace
    assert plain.written is not None
    assert plain.written.inplace
    assert plain.written.saved == (Saved("result"),)


def test_optional_outputs_are_named() -> None:
    pool = op("torch.nn.functional.max_pool2d")
    assert len(pool.outputs) == 1
    assert pool.extra == (("return_indices", Output("indices", "none", "int")),)


SELECTIONS = [
    ("torch.max", ["tensor"], {}, ("input",), 1),
    ("torch.max", ["tensor", "int"], {}, ("input", "dim", "keepdim"), 2),
    ("torch.max", ["tensor"], {"dim": "int"}, ("input", "dim", "keepdim"), 2),
    ("torch.max", ["tensor", "tensor"], {}, ("input", "other"), 1),
    ("torch.pow", ["tensor", "int"], {}, ("input", "exponent"), 1),
    ("torch.sum", ["tensor"], {"dim": "ints"}, ("input", "dim", "keepdim", "dtype"), 1),
    ("torch.Tensor.view", ["tensor", "int", "int"], {}, ("input", "size"), 1),
    ("torch.Tensor.view", ["tensor", "ints"], {}, ("input", "size"), 1),
    ("torch.Tensor.view", ["tensor", "dtype"], {}, ("input", "dtype"), 1),
    ("torch.div", ["tensor", "float"], {}, ("input", "other"), 1),
    ("torch.div", ["tensor", "tensor"], {"rounding_mode": "str"}, ("input", "other", "rounding_mode"), 1),
    ("torch.add", ["tensor", "number"], {}, ("input", "other", "alpha"), 1),
]


@pytest.mark.parametrize(("spelling", "positional", "keywords", "params", "outputs"), SELECTIONS)
def test_a_call_selects_its_overload(
    spelling: str, positional: list[str], keywords: dict[str, str], params: tuple[str, ...], outputs: int
) -> None:
    found = select(op(spelling), positional, keywords)
    assert tuple(name for name in found.params if name != "out") == params
    assert len(found.outputs) == outputs


def test_what_a_call_saves_depends_on_its_arguments() -> None:
    power = op("torch.pow")
    assert Saved("result") not in select(power, ["tensor", "int"], {}).saved
    assert Saved("result") in select(power, ["int", "tensor"], {}).saved
    divided = op("torch.div")
    assert select(divided, ["tensor", "int"], {}).outputs[0].gradient == "flows"
    assert select(divided, ["tensor", "int"], {"rounding_mode": "str"}).outputs[0].gradient == "zero"


def test_an_uncertain_call_gets_what_all_overloads_agree_on() -> None:
    maximum = select(op("torch.max"), ["tensor", "unknown"], {})
    assert maximum.outputs == ()
    power = select(op("torch.pow"), ["tensor", "unknown"], {})
    assert Saved("input") in power.saved or Saved("input", ("input",)) in power.saved
    assert all(saved.what != "result" or saved.gates == ("exponent",) for saved in power.saved)


def test_nothing_imports_torch() -> None:
    program = (
        "import sys\n"
        "from gradls.autograd import calls, distributions, losses, modules, ops, optimizers, spelling\n"
        "ops.find_op('torch.exp'), modules.find_module('torch.nn.Linear'), spelling.canonical('torch.nn.Linear')\n"
        "assert not {'torch', 'torchgen', 'numpy'} & sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_first_lookup_is_quick() -> None:
    program = (
        "import time, dataclasses, json\n"
        "a = time.process_time(); import gradls.autograd; b = time.process_time()\n"
        "from gradls.autograd.ops import find_op\n"
        "c = time.process_time(); find_op('torch.nn.functional.linear'); d = time.process_time()\n"
        "print(b - a, d - c)\n"
    )
    best = [1.0, 1.0]
    for _ in range(5):
        result = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
        best = [min(old, float(new)) for old, new in zip(best, result.stdout.split(), strict=True)]
    assert best[0] < 0.001
    assert best[1] < 0.015
