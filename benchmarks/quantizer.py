"""Draws docs/quantizer.png anew: python benchmarks/quantizer.py"""

from pathlib import Path

from beex_keras.evaluation import plots

plots.save(plots.quantizer(), Path(__file__).parents[1] / "docs" / "quantizer.png")
