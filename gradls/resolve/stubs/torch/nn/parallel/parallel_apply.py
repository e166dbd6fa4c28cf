# mypy: ignore-errors


def parallel_apply(*a, **k): ...
