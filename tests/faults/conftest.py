from tests.resolve.conftest import projects, shared_cache

__all__ = ["projects", "shared_cache"]
