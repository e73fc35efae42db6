# ruff: noqa: F401, F811 (fixtures)
"""Examples in docstrings: public names have one, and each gives what it shows."""

import doctest
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import tensorflow as tf
from doc_toys import no_conversions, no_epochs, small, toys

import beex_keras as beex


def modules() -> list[str]:
    """All but those that run, and the engine's library, which is no Python."""
    found = (module.name for module in pkgutil.walk_packages(beex.__path__, "beex_keras."))
    return ["beex_keras", *(name for name in found if not name.split(".")[-1].startswith("_"))]


def test_docstring_examples(small, no_epochs):
    """All in one process, each in a namespace with the names that documentation uses."""
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS)
    globals_ = {"beex": beex, "np": np, "tf": tf}
    report: list[str] = []
    for name in modules():
        module = importlib.import_module(name)
        for test in doctest.DocTestFinder(exclude_empty=True).find(module, name):
            test.globs = dict(globals_)
            runner.run(test, out=report.append)
    assert not runner.failures, "".join(report)


PUBLIC = (
    "beex_keras",
    *(
        f"beex_keras.{name}"
        for name in (
            "data",
            "evaluation",
            "evaluation.plots",
            "exits",
            "export",
            "export.beex",
            "export.mcu",
            "layers",
            "losses",
            "metrics",
            "models",
            "pretrained",
            "quantizers",
            "runtime",
            "text",
            "training",
        )
    ),
)

RESULTS = {
    *("Split", "Task", "Calibration", "Curve", "Evaluation", "ExitOutputs", "Run", "WarmStart"),
    *("Runner", "Board", "DoesNotFit", "Footprint"),
}
"""What other functions return or raise, whose examples show it."""


ARRAY = re.compile(r"ndarray|Tensor\b")
SHAPE = re.compile(r"\(\.*(\w+, ?|\w+,? )*\w*\)|shape")
"""(B, T), (n,), or the word."""


def code(function: Callable) -> str:
    """Its source; none of what a decorator has written."""
    try:
        return inspect.getsource(function)
    except OSError:
        return ""


def functions(module) -> Iterator[tuple[str, str, Callable, str]]:
    """The module's public functions, its classes and their methods: name, source, itself and docstring.

    The source of a class is what makes one. Methods that only override another library's have no docstring.
    """
    for key in getattr(module, "__all__", vars(module)):
        value = getattr(module, key)
        defined = str(getattr(value, "__module__", ""))
        here = hasattr(module, "__all__") or defined == module.__name__
        if key.startswith("_") or not here or not defined.startswith("beex_keras"):
            continue
        if inspect.isfunction(value):
            yield key, code(value), value, value.__doc__ or ""
        elif inspect.isclass(value):
            own = vars(value)
            yield (
                key,
                code(own["__init__"]) if "__init__" in own else "",
                value,
                value.__doc__ or "",
            )
            for name, method in own.items():
                method = getattr(method, "__func__", method)
                if inspect.isfunction(method) and not name.startswith("_") and method.__doc__:
                    yield f"{key}.{name}", code(method), method, method.__doc__


@pytest.mark.parametrize("name", PUBLIC)
def test_docstrings_tell_shapes_and_errors(name):
    """Shapes of what arrays it takes or returns, and that it raises errors where its own code does."""
    faults = []
    for key, code, value, doc in functions(importlib.import_module(name)):
        if "raise BeexError" in code and not re.search(r"Raises:|[Ee]rrors? ", doc):
            faults.append(f"{key} does not tell its errors")
        if not inspect.isclass(value):
            signature = inspect.signature(value)
            parts = [
                signature.return_annotation,
                *(p.annotation for p in signature.parameters.values()),
            ]
            if any(ARRAY.search(str(part)) for part in parts) and not SHAPE.search(doc):
                faults.append(f"{key} does not tell shapes")
    assert not faults


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_have_examples(name):
    module = importlib.import_module(name)
    public = {key: getattr(module, key) for key in getattr(module, "__all__", vars(module))}
    without = [
        key
        for key, value in public.items()
        if not key.startswith("_")
        and key not in RESULTS
        and (inspect.isclass(value) or inspect.isfunction(value))
        and (hasattr(module, "__all__") or value.__module__ == name)
        and not issubclass(type(value) if not inspect.isclass(value) else value, Exception)
        and ">>>" not in (value.__doc__ or "")
    ]
    assert not without
