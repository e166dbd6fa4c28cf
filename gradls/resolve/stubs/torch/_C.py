# mypy: ignore-errors


import builtins


class TensorBase: ...


class Generator: ...


class _FunctionBase: ...


class _LegacyVariableBase: ...


class _LinAlgError(builtins.RuntimeError): ...


class _TensorMeta(builtins.type): ...
