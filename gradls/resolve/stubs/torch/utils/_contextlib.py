# mypy: ignore-errors


class _DecoratorContextManager: ...


class _NoParamDecoratorContextManager(_DecoratorContextManager): ...
