"""Training and the C engine's files without Larq Compute Engine; tests/test_without_tensorflow.py runs it."""

import sys

sys.modules["larq_compute_engine"] = None  # importing it raises

from pathlib import Path

from commands import beex
from toy import data_options, write_toy_files

write_toy_files(Path())
size = ("--set", "width=8", "--set", "num_heads=2", "--set", "hidden_width=8", "--set", "epochs=1")
beex("train", *data_options(Path()), "--preset", "micro", *size, "-o", "run")
beex("convert", "run", "-o", "model.beex")
assert beex("predict", "model.beex", "a good film").count("exit") == 1
assert "exported" in beex("summary", "run")
said = beex("convert", "run", "-o", "model.tflite", code=2)
assert said.startswith("error: A .tflite file needs Larq Compute Engine") and said.count("\n") == 1
print("all works")
