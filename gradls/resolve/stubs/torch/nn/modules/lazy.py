# mypy: ignore-errors


class LazyModuleMixin: ...
