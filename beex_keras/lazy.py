"""Public names that load on first use: a package's ``__init__.pyi`` lists them, for checkers too.

A library would do, but brings a megabyte of others with it, where all of the base install has twenty.
"""

import ast
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

Attached = tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]


def attach(package: str, file: str) -> Attached:
    """`__getattr__`, `__dir__` and `__all__` of a package, by the stub beside its `__init__.py`.

    Args:
        package, file: its `__name__` and `__file__`. The stub has lines ``from .module import name`` and,
            for modules themselves, ``from . import module``. A name must not be that of its own module,
            which would be found in its place once something has imported it.
    """
    homes: dict[str, str | None] = {}
    for node in ast.parse(Path(file).with_suffix(".pyi").read_text("utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            homes |= dict.fromkeys((alias.name for alias in node.names), node.module)

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home = homes[name]
        if home is None:
            return import_module(f"{package}.{name}")
        value = getattr(import_module(f"{package}.{home}"), name)
        setattr(sys.modules[package], name, value)  # where it is found from now on
        return value

    return load, lambda: sorted(homes), sorted(homes)
