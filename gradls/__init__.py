"""gradls: where a PyTorch gradient is lost, corrupted or never applied."""

# Nothing is imported here: `__main__` has to see to it first where imports may come from.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from gradls.api import Edit, Finding, Fix, Location, Problem, Session, Step

__version__ = "0.1.0"
__all__ = ["Edit", "Finding", "Fix", "Location", "Problem", "Session", "Step", "__version__"]


def __getattr__(name: str) -> object:
    """The library is imported when somebody uses it: the command and the server are to start fast."""
    if name in __all__:
        from gradls import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
