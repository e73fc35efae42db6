"""Draws the figures of this folder anew: python docs/figures.py"""

from pathlib import Path

from beex_keras.evaluation import plots

plots.save(plots.quantizer(), Path(__file__).parent / "quantizer.png")
