from .pipeline import make_dataset, steps_per_epoch
from .registry import TASKS, load_task
from .task import Split, Task

__all__ = ["TASKS", "Split", "Task", "load_task", "make_dataset", "steps_per_epoch"]
