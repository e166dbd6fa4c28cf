"""What is said of the tensor that a message of PyTorch is about."""

from __future__ import annotations

import pytest
import torch

from gradls.errors.details import details


def message_of(write: object, loss: torch.Tensor) -> str:
    assert callable(write)
    write()
    with pytest.raises(RuntimeError) as raised:
        loss.backward()
    return str(raised.value)


def test_the_result_of_an_operation():
    y = torch.sigmoid(torch.randn(3, 2, requires_grad=True))
    said = details(message_of(lambda: y.add_(1), y.sum()))
    assert said == "The tensor is a FloatTensor of shape [3, 2], made by `Sigmoid`. It was written once since."


def test_data_and_how_often():
    x, w = torch.ones(3), torch.ones(3, requires_grad=True)
    loss = (x * w).sum()
    said = details(message_of(lambda: x.add_(1).add_(1), loss))
    assert "that no operation made" in said
    assert said.endswith("It was written 2 times since.")


def test_the_weight_of_a_layer():
    net = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Linear(3, 1))
    loss = net(torch.randn(4, 3)).sum()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    net(torch.randn(4, 3)).sum().backward()
    assert "optimizer.step()" in details(message_of(optimizer.step, loss))


def test_other_messages():
    assert details("element 0 of tensors does not require grad and does not have a grad_fn") == ""
