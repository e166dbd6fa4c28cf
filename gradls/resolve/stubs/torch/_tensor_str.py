# mypy: ignore-errors


def set_printoptions(*a, **k): ...
