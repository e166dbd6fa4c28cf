# mypy: ignore-errors

from torch._tensor import Tensor
from torch.nn.modules.module import Module

class DataParallel(Module): ...

def data_parallel(*a, **k) -> Tensor: ...
