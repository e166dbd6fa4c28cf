# mypy: ignore-errors


def boolean_dispatch(*a, **k): ...
