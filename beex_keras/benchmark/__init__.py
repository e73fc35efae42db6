"""The paper's evaluation as one command: trainings in cells, tables and figures from their logits."""
