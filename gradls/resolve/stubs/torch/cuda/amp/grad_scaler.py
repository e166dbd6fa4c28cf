# mypy: ignore-errors


from torch.amp.grad_scaler import GradScaler as _GradScaler


class GradScaler(_GradScaler): ...
