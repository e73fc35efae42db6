from .memory import Board, DoesNotFit, Footprint, boards
from .project import export_project, write_arrays, write_project

__all__ = [
    "Board",
    "DoesNotFit",
    "Footprint",
    "boards",
    "export_project",
    "write_arrays",
    "write_project",
]
