# mypy: ignore-errors


import builtins


class CompilationUnit: ...


class Error(builtins.Exception): ...
