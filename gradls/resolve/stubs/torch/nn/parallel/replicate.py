# mypy: ignore-errors


def replicate(*a, **k): ...
