# mypy: ignore-errors


def handle_torch_function(*a, **k): ...
