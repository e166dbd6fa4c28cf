# mypy: ignore-errors

class RemovableHandle:
    def remove(self, *a, **k) -> None: ...
