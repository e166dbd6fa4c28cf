# mypy: ignore-errors


