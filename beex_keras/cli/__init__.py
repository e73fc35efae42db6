"""The command line, `beex`: one file a command.

TensorFlow is imported inside the commands, so that help and mistakes in options answer at once.
"""

from beex_keras.cli.app import main

__all__ = ["main"]
