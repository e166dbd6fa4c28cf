# mypy: ignore-errors

from __future__ import annotations

from torch.autograd.anomaly_mode import detect_anomaly as detect_anomaly
from torch.autograd.anomaly_mode import set_detect_anomaly as set_detect_anomaly
from torch.autograd.function import Function as Function
from torch.autograd.function import NestedIOFunction as NestedIOFunction
from torch.autograd.grad_mode import enable_grad as enable_grad
from torch.autograd.grad_mode import enforce_grad_layout_policy as enforce_grad_layout_policy
from torch.autograd.grad_mode import inference_mode as inference_mode
from torch.autograd.grad_mode import no_grad as no_grad
from torch.autograd.grad_mode import set_grad_enabled as set_grad_enabled
from torch.autograd.grad_mode import set_multithreading_enabled as set_multithreading_enabled
from torch.autograd.gradcheck import gradcheck as gradcheck
from torch.autograd.gradcheck import gradgradcheck as gradgradcheck
from torch.autograd.variable import Variable as Variable

from . import functional as functional


def backward(*a, **k) -> None: ...
def grad(*a, **k): ...
def variable(*a, **k): ...
