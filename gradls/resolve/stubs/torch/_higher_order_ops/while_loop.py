# mypy: ignore-errors


def while_loop(*a, **k): ...
