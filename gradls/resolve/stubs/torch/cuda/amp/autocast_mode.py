# mypy: ignore-errors


from torch.amp.autocast_mode import autocast as _autocast


class autocast(_autocast): ...


def custom_bwd(*a, **k): ...
def custom_fwd(*a, **k): ...
