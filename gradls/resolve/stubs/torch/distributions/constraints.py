# mypy: ignore-errors


class Constraint: ...
