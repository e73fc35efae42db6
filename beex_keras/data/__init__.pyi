from .loading import load_task
from .pipeline import make_dataset, steps_per_epoch
from .splits import Split
from .task import Task

__all__ = ["Split", "Task", "load_task", "make_dataset", "steps_per_epoch"]
