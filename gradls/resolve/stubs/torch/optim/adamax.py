# mypy: ignore-errors


from torch.optim.optimizer import Optimizer


class Adamax(Optimizer): ...
