"""The version of the training code, which a person raises."""

from importlib.metadata import version

RECIPE_VERSION = 2
"""Raise this number, and add a line below, in each change after which the same settings, data and seed give another model.

1. The code that this number was introduced with.
2. Named recipes give the defaults, no second training is the teacher, and one `fit` shuffles all epochs.
"""

_LIBRARIES = ("tensorflow", "tf-keras", "tensorflow-text", "larq", "numpy")


def library_versions() -> dict[str, str]:
    """Versions of the libraries that a training's result depends on."""
    return {name: version(name) for name in _LIBRARIES}
