"""The paper's evaluation as one command: trainings in cells, tables and figures from their logits."""

from beex_keras.benchmark.benchmark import benchmark
from beex_keras.benchmark.suite import Suite, load_suite

__all__ = ["Suite", "benchmark", "load_suite"]
