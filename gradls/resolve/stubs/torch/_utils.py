# mypy: ignore-errors


def classproperty(*a, **k): ...
