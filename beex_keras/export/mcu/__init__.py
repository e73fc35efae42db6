"""C projects for microcontrollers, and what they take of a board."""

from beex_keras.export.mcu.board import DEFAULT, Board, boards, parse_size
from beex_keras.export.mcu.project import write_arrays, write_project
from beex_keras.export.mcu.project_report import ProjectReport, export_project
from beex_keras.export.mcu.requirements import DoesNotFit

__all__ = [
    "DEFAULT",
    "Board",
    "DoesNotFit",
    "ProjectReport",
    "boards",
    "export_project",
    "parse_size",
    "write_arrays",
    "write_project",
]
