# mypy: ignore-errors


from . import checkpoint as checkpoint
from . import data as data
