"""Writes the compact stubs of torch: `python -m gradls.resolve.generate_stubs [FOLDER]`.

A development command, the only module of this package that imports torch. The stubs hold names, base classes and return
types, in the module where torch has them, so that jedi gives the same full names whether torch is installed or not.
They are .py files, which nobody runs: of a .pyi file jedi hides the names that begin with an underscore, and torch's
modules import such base classes from each other.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import shutil
import subprocess
import sys
import types
import typing
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NAMESPACES = (
    "torch",
    "torch.amp",
    "torch.autograd",
    "torch.autograd.functional",
    "torch.cuda.amp",
    "torch.distributions",
    "torch.fft",
    "torch.func",
    "torch.linalg",
    "torch.nn",
    "torch.nn.attention",
    "torch.nn.functional",
    "torch.nn.init",
    "torch.nn.modules.loss",
    "torch.nn.parallel",
    "torch.nn.parameter",
    "torch.nn.utils",
    "torch.nn.utils.parametrizations",
    "torch.nn.utils.parametrize",
    "torch.nn.utils.rnn",
    "torch.optim",
    "torch.optim.lr_scheduler",
    "torch.optim.swa_utils",
    "torch.special",
    "torch.utils.checkpoint",
    "torch.utils.data",
)
"""What users import from."""

INSIDE = re.compile(r"_copy$|^(cudnn|fbgemm|miopen|mkldnn|quantized)_")
"""Functions that torch's own code calls."""

WRITTEN_IN_C = {"Generator", "Size", "device", "dtype", "finfo", "iinfo", "layout", "memory_format"}
HEADER = "# mypy: ignore-errors\n"
PLAIN = {"bool": bool, "int": int, "float": float, "complex": complex, "str": str, "None": None}
CONTAINERS = {"tuple", "list", "Iterator", "Sequence"}


class Module:
    """One stub file in the making."""

    def __init__(self) -> None:
        self.exports: dict[str, str] = {}
        self.imports: set[tuple[str, str]] = set()
        self.definitions: dict[str, str] = {}

    def text(self) -> str:
        annotated = any(" -> " in text for text in self.definitions.values())
        lines = [HEADER, "from __future__ import annotations\n" if annotated else ""]
        lines += [
            f"from {module} import {name}" if name else f"import {module}"
            for module, name in sorted(self.imports)
            if self.exports.get(name) != module
        ]
        lines += [
            f"from {module} import {name} as {name}" if module else f"from . import {name} as {name}"
            for name, module in sorted(self.exports.items())
            if name not in self.definitions
        ]
        if ("typing", "TypeVar") in self.imports:
            lines.append('_S = TypeVar("_S")')
        # jedi reads from above: what is a dtype comes after the class of that name.
        definitions = sorted(self.definitions.values(), key=lambda text: not text.startswith("class "))
        return "\n".join([*lines, "", *definitions, ""])


class Generator:
    """Collects what `NAMESPACES` offer, and every base class of it, by the module that defines it."""

    def __init__(self, torch: Any) -> None:
        self.torch = torch
        self.modules: dict[str, Module] = defaultdict(Module)
        folder = Path(torch.__file__).parent
        self.functions = returns_in(ast.parse((folder / "_C/_VariableFunctions.pyi").read_text()).body)
        self.functionals = returns_in(ast.parse((folder / "nn/functional.pyi").read_text()).body)
        self.methods = returns_in(class_body(ast.parse((folder / "_C/__init__.pyi").read_text()), "TensorBase"))

    def namespace(self, name: str) -> None:
        """Write down all public names of one namespace."""
        module = importlib.import_module(name)
        public = list(getattr(module, "__all__", ()))
        if name == "torch" or not public:
            # torch.__all__ has no set_grad_enabled.
            public += [key for key in vars(module) if key[0] != "_"]
        private = {
            key for key, value in vars(module).items() if getattr(value, "__module__", "") == name and key[0] == "_"
        }
        bases = {key for key in private if isinstance(getattr(module, key), type)}
        for key in sorted({*public, *bases, *below(name)}):
            value = getattr(module, key, None)
            if isinstance(value, types.ModuleType):
                if key in below(name):
                    self.modules[name].exports[key] = ""
            elif isinstance(value, type):
                if (name != "torch" or is_of_interest(value)) and self.defined_class(value) and value.__name__ == key:
                    self.export(name, key, home_of(value))
            elif isinstance(value, self.torch.dtype):
                self.modules[name].definitions[key] = f"{key}: dtype"
            elif inspect.isroutine(value) and not INSIDE.search(key):
                self.function(name, key, value)

    def export(self, namespace: str, key: str, home: str) -> None:
        if home != namespace:
            self.modules[namespace].exports[key] = home

    def function(self, namespace: str, key: str, value: Any) -> None:
        home = getattr(value, "__module__", None) or namespace
        plain = inspect.isfunction(value) and value.__qualname__ == key and value.__name__ == key
        if not plain or not home.startswith("torch") or home.startswith("torch._C"):
            home = namespace
        returns = self.return_of(home, key, value)
        arrow = f" -> {returns}" if returns else ""
        self.modules[home].definitions.setdefault(key, f"def {key}(*a, **k){arrow}: ...")
        self.export(namespace, key, home)

    def return_of(self, home: str, key: str, value: Any) -> str | None:
        """The type that calling the function `value` gives, as stub text."""
        found = self.spell(hint_of(value), home)
        if found or (inspect.isfunction(value) and home != "torch.nn.functional"):
            return found
        table = {"torch": self.functions, "torch.nn.functional": self.functionals}.get(home, {})
        if key in table:
            return self.written(table[key], home)
        signature = (getattr(value, "__doc__", None) or "").strip().partition("\n")[0]
        return self.tensor(home) if signature.endswith("-> Tensor") else None

    def defined_class(self, cls: type) -> bool:
        """Whether `cls` is torch's own; if so it is written down, with its bases."""
        home, name = home_of(cls), cls.__qualname__
        if not home.startswith("torch") or not name.isidentifier():
            return False
        module = self.modules[home]
        if name not in module.definitions:
            module.definitions[name] = ""
            # Python wants a base class above its subclasses; re-inserting keeps that order.
            actual = (self.torch.Tensor,) if is_tensor_type(cls) else cls.__bases__
            bases = [base for base in (self.spell(base, home) for base in actual) if base]
            body = [f"    {line}" for line in self.members(cls)]
            head = f"class {name}({', '.join(bases)})" if bases else f"class {name}"
            del module.definitions[name]
            module.definitions[name] = "\n".join([f"{head}:", *body, ""]) if body else f"{head}: ..."
        return True

    def members(self, cls: type) -> Iterator[str]:
        """The methods and properties of `cls` itself whose type is known."""
        home = home_of(cls)
        written = self.methods if cls is self.torch.Tensor else {}
        for key in sorted({*written, *vars(cls)}):
            member = vars(cls).get(key)
            function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
            if key.startswith("_") or getattr(function, "__name__", key) != key:
                continue
            me, returns = "self", self.spell(hint_of(function), home) if callable(function) else None
            bound = not isinstance(member, (classmethod, staticmethod))
            if (bound and returns_self(function)) or written.get(key) in ({"Self"}, {"S"}):
                # jedi binds a type variable to the class of the object; of typing.Self it makes the class that says it.
                me, returns = "self: _S", "_S"
                self.modules[home].imports.add(("typing", "TypeVar"))
            elif returns is None and key in written:
                returns = self.written(written[key], home)
            if not returns:
                continue
            if isinstance(member, property):
                yield f"@property\n    def {key}({me}) -> {returns}: ..."
            elif isinstance(member, staticmethod):
                yield f"@staticmethod\n    def {key}(*a, **k) -> {returns}: ..."
            elif isinstance(member, classmethod):
                yield f"@classmethod\n    def {key}(cls, *a, **k) -> {returns}: ..."
            else:
                yield f"def {key}({me}, *a, **k) -> {returns}: ..."

    def tensor(self, home: str) -> str:
        return self.spell(self.torch.Tensor, home) or "Tensor"

    def spell(self, hint: Any, home: str) -> str | None:
        """A type as text that means it in the stub of `home`, or None where it says nothing that a reader needs."""
        if hint is None or hint is type(None):
            return "None"
        if hint is inspect.Signature.empty or hint is object:
            return None
        if typing.get_origin(hint) is not None:
            return self.spell_generic(hint, home)
        if not isinstance(hint, type):
            return None
        if hint.__module__ == "builtins":
            # torch.int is a dtype, Tensor.int a method.
            self.modules[home].imports.add(("builtins", ""))
            return f"builtins.{hint.__name__}"
        if hint.__qualname__ == "OrderedDict":
            self.modules[home].imports.add(("collections", "OrderedDict"))
            return "OrderedDict"
        if not self.defined_class(hint):
            return None
        name = hint.__name__
        if home_of(hint) == home:
            return name
        if name not in self.modules[home].definitions:
            self.modules[home].imports.add((home_of(hint), name))
            return name
        self.modules[home].imports.add((home_of(hint), f"{name} as _{name}"))
        return f"_{name}"

    def spell_generic(self, hint: Any, home: str) -> str | None:
        origin = typing.get_origin(hint)
        name = getattr(origin, "__name__", "")
        if name not in CONTAINERS:
            return None
        parts = ["..." if part is ... else self.spell(part, home) for part in typing.get_args(hint)]
        if not all(parts):
            return None
        if name in ("Iterator", "Sequence"):
            self.modules[home].imports.add(("collections.abc", name))
        return f"{name}[{', '.join(map(str, parts))}]"

    def written(self, annotations: set[str], home: str) -> str | None:
        """What torch's own stub writes, if all overloads agree and it is simple."""
        if len(annotations) != 1:
            return None
        (text,) = annotations
        if text == "Tensor":
            return self.tensor(home)
        if text.startswith("tuple[") and set(text[6:-1].split(", ")) <= {"Tensor", "..."}:
            self.tensor(home)
            return text
        text = text.removeprefix("_")
        return self.spell(PLAIN[text], home) if text in PLAIN else None


def below(name: str) -> set[str]:
    """The namespaces directly in `name`."""
    inside = {other[len(name) + 1 :] for other in NAMESPACES if other.startswith(f"{name}.")}
    return {other.partition(".")[0] for other in inside}


def is_of_interest(cls: type) -> bool:
    """Whether a class that torch itself offers is more than the inside of its script compiler or of a tensor."""
    if cls.__module__ == "torch.storage":
        return False
    written_in_c = cls.__module__ in ("torch", "torch._C") and cls.__name__ != "Tensor"
    return not written_in_c or cls.__name__ in WRITTEN_IN_C or is_tensor_type(cls)


def is_tensor_type(cls: type) -> bool:
    """Whether `cls` is one of FloatTensor, LongTensor and so on, which isinstance and annotations take for Tensor."""
    return cls.__module__ == "torch" and cls.__name__.endswith("Tensor") and cls.__name__ != "Tensor"


def home_of(cls: type) -> str:
    """The module that defines `cls`. Tensor says that it is torch's own, for the sake of its printed name."""
    return "torch._tensor" if cls.__module__ == "torch" and cls.__name__ == "Tensor" else cls.__module__


def hint_of(function: Any) -> Any:
    """The return annotation of `function`, evaluated where that is possible; of its overloads, where they agree."""
    function = inspect.unwrap(function) if callable(function) else function
    overloads: list[Any] = []
    if sys.version_info >= (3, 11) and inspect.isfunction(function):
        overloads = list(typing.get_overloads(function))
    hints = {repr(hint): hint for hint in map(plain_hint_of, overloads or [function])}
    return hints.popitem()[1] if len(hints) == 1 else inspect.Signature.empty


def returns_self(function: Any) -> bool:
    """Whether `function` is a method that returns what it is called on, or its like."""
    hint = hint_of(function)
    if getattr(hint, "__name__", "") == "Self" and not isinstance(hint, type):
        return True
    return isinstance(hint, typing.TypeVar) and getattr(function, "__annotations__", {}).get("self") in (
        hint,
        str(hint),
    )


def plain_hint_of(function: Any) -> Any:
    try:
        return typing.get_type_hints(function).get("return", inspect.Signature.empty)
    except Exception:
        written = getattr(function, "__annotations__", {}).get("return", inspect.Signature.empty)
        return inspect.Signature.empty if isinstance(written, str) else written


def returns_in(body: list[ast.stmt]) -> dict[str, set[str]]:
    """The return annotations of each function in `body`, over its overloads."""
    found: dict[str, set[str]] = defaultdict(set)
    for node in body:
        if isinstance(node, ast.FunctionDef):
            found[node.name].add(ast.unparse(node.returns) if node.returns else "")
    return found


def class_body(tree: ast.Module, name: str) -> list[ast.stmt]:
    return next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)


def write(folder: Path) -> int:
    """Replace the stubs in `folder`; returns their size in bytes."""
    torch = importlib.import_module("torch")
    generator = Generator(torch)
    for name in NAMESPACES:
        generator.namespace(name)
    version = torch.__version__.partition("+")[0]
    shutil.rmtree(folder / "torch", ignore_errors=True)
    names = set(generator.modules)
    names |= {name.rsplit(".", depth)[0] for name in names for depth in range(1, name.count(".") + 1)}
    for name in sorted(names):
        if name not in NAMESPACES:
            generator.modules[name].exports.update(dict.fromkeys(below(name), ""))
        package = any(other.startswith(f"{name}.") for other in names)
        path = folder.joinpath(*name.split("."))
        path = path / "__init__.py" if package else path.with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(generator.modules[name].text(), encoding="utf-8")
    (folder / "VERSION").write_text(f"{version}\n", encoding="utf-8")
    for command in (["check", "--fix", "--quiet", "--select", "I,F401"], ["format", "--quiet"]):
        subprocess.run([sys.executable, "-m", "ruff", *command, str(folder)], check=True)
    return sum(path.stat().st_size for path in folder.rglob("*.py"))


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "stubs"
    print(f"{write(target):,} bytes in {target}")
