# mypy: ignore-errors


from torch._C import _LegacyVariableBase


class Variable(_LegacyVariableBase): ...
