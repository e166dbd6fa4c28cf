# mypy: ignore-errors


class LinearCrossEntropyOptions: ...
