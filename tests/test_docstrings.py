# ruff: noqa: F401, F811 (fixtures)
"""Examples in docstrings: public names have one, and each gives what it shows."""

import doctest
import importlib
import inspect
import pkgutil

import numpy as np
import pytest
import tensorflow as tf
from doc_toys import no_epochs, small, toys

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
    *("Split", "Task", "Calibration", "Curve", "Evaluation", "Decisions", "Run", "WarmStart"),
    *("Runner", "Board", "DoesNotFit", "ProjectReport"),
}
"""What other functions return or raise, whose examples show it."""


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
