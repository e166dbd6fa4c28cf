"""jedi's environment and project, made to read and never to import.

jedi asks a process in the user's environment where modules are, and has it import those that have no source. Only the
standard library is worth that: an extension module of the workspace would run, and torch's would take seconds.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from typing import Any

import jedi  # type: ignore[import-untyped]
from jedi.api.environment import Environment, SameEnvironment  # type: ignore[import-untyped]
from jedi.inference.compiled.subprocess import InferenceStateSubprocess  # type: ignore[import-untyped]

INSTALLED = ("site-packages", "dist-packages")


class Reader(InferenceStateSubprocess):
    """Finds and reads modules for one jedi Script."""

    torch_stubs: str | None = None
    """Where torch is looked for instead of where it is installed."""

    def load_module(self, dotted_name: str, sys_path: list[str]) -> Any:
        if dotted_name.partition(".")[0] in sys.stdlib_module_names:
            return self.__getattr__("load_module")(dotted_name=dotted_name, sys_path=sys_path)
        return None

    def get_module_info(self, **where: Any) -> Any:
        if self.torch_stubs and where.get("is_global_search") and where.get("string") == "torch":
            where["sys_path"] = [self.torch_stubs]
        return self.__getattr__("get_module_info")(**where)


class ReadingEnvironment:
    """Looks to jedi like the Environment that it wraps."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self.torch_stubs: str | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._environment, name)

    def get_inference_state_subprocess(self, state: Any) -> Reader:
        reader = Reader(state, self._environment._get_subprocess())
        reader.torch_stubs = self.torch_stubs
        return reader


class ReadingProject(jedi.Project):
    """`standard` are the only folders from which anything may be imported."""

    standard: tuple[str, ...] = ()

    def _get_base_sys_path(self, inference_state: Any) -> list[str]:
        return list(self.standard)


def create(python: str | None) -> ReadingEnvironment:
    """The environment of `python`, which is run for it, or of gradls itself. Raises jedi.InvalidPythonEnvironment."""
    if python is None:
        return ReadingEnvironment(SameEnvironment())
    return ReadingEnvironment(jedi.create_environment(python, safe=True))


def standard_library(environment: ReadingEnvironment) -> tuple[str, ...]:
    """The folders of the standard library of `environment`."""
    own = [path for key, path in sysconfig.get_paths().items() if key in ("stdlib", "platstdlib")]
    found = [path for path in environment.get_sys_path() if _is_standard(path)]
    return tuple(dict.fromkeys(found or own))


def installed_packages(environment: ReadingEnvironment) -> tuple[str, ...]:
    """The other folders on the path of `environment`, without the one of jedi's own script."""
    script = os.path.dirname(sys.modules[InferenceStateSubprocess.__module__].__file__ or "")
    return tuple(path for path in environment.get_sys_path() if path not in ("", script) and not _is_standard(path))


def _is_standard(path: str) -> bool:
    return not any(name in path for name in INSTALLED) and (
        path.endswith(".zip") or os.path.isfile(os.path.join(path, "os.py")) or os.path.basename(path) == "lib-dynload"
    )
