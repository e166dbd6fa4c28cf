# mypy: ignore-errors

