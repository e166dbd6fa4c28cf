# mypy: ignore-errors


def amp_definitely_not_available(*a, **k): ...
