# mypy: ignore-errors


def get_worker_info(*a, **k): ...
