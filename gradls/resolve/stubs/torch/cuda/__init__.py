# mypy: ignore-errors


from . import amp as amp
