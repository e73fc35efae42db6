"""The paper's evaluation: trainings, each in a process of its own, and figures from their logits."""
