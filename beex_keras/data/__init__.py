"""Tasks by name, and the pipelines that feed them to a model.

Tasks are read without TensorFlow, so that faulty data is reported at once; the pipelines load on
first use.
"""

import importlib
from typing import TYPE_CHECKING, Any

from beex_keras.data.registry import TASKS, load_task
from beex_keras.data.task import Split, Task

if TYPE_CHECKING:
    from beex_keras.data.pipeline import make_dataset, steps_per_epoch

__all__ = ["TASKS", "Split", "Task", "load_task", "make_dataset", "steps_per_epoch"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'beex_keras.data' has no attribute '{name}'")
    return getattr(importlib.import_module("beex_keras.data.pipeline"), name)
