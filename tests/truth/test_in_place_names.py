"""What is said of in-place methods that have no other form, against PyTorch."""

from __future__ import annotations

import torch

from gradls.rules.in_place_names import INSTEAD, ONLY_IN_PLACE, has_other_form

IN_PLACE = [name for name in dir(torch.Tensor) if name.endswith("_") and not name.startswith("_") and name[-2:] != "__"]


def test_all_others_have_a_method_without_the_underscore() -> None:
    for name in IN_PLACE:
        if name not in ONLY_IN_PLACE:
            assert callable(getattr(torch.Tensor, name[:-1], None)), name
            assert has_other_form(name)
        else:
            assert has_other_form(name) is (name in INSTEAD)


def test_what_stands_for_some_of_them_leaves_the_same_behind() -> None:
    values = {"zero_": (), "fill_": (2.0,), "fill_diagonal_": (0.5,)}
    assert values.keys() == INSTEAD.keys()
    for name, given in values.items():
        for shape in ((3, 3), (2, 4), (4, 2)):
            x = torch.randn(shape)
            new = INSTEAD[name].format(torch="torch", tensor="x", value="".join(map(str, given)))
            made = eval(new, {"torch": torch, "x": x})
            assert torch.equal(made, getattr(x.clone(), name)(*given)), name
