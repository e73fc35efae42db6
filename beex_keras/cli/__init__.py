"""The command line, `beex`: one file a command.

TensorFlow is imported inside the commands, so that help and mistakes in options answer at once.
"""

from beex_keras.cli.app import main
from beex_keras.cli.convert import EXITS
from beex_keras.cli.options import POLICIES, PRESETS, STRATEGIES

__all__ = ["EXITS", "POLICIES", "PRESETS", "STRATEGIES", "main"]
