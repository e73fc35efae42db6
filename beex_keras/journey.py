"""The whole journey on the packaged movie reviews: train, calibrate, convert, classify."""

from pathlib import Path
from typing import Any

from beex_keras import export, runtime
from beex_keras.data import load_task
from beex_keras.evaluation import Evaluation, plots, score
from beex_keras.evaluation.baselines import majority_predictions, tfidf_predictions
from beex_keras.models import BEExformerConfig
from beex_keras.training import TrainingConfig, train

SENTENCES = (
    "a gorgeous, witty, seductive movie.",
    "the plot is a mess and the jokes fall flat.",
    "not a bad film, but it never quite comes together.",
    "one of the best of the year.",
)


def run(
    directory: Path, epochs: int | None = None, seed: int = 0, verbose: int | str = "auto"
) -> dict[str, Any]:
    """Trains a BEExformer and its float32 twin, converts both and compares all with baselines.

    Args:
        directory: where the runs and the .tflite files go.
        epochs: instead of the recipe's.
        seed: of both trainings.
        verbose: of Keras' progress display.

    Returns:
        `models`, one row each (accuracy on the test split, mean depth, FLOPs saved, file size);
        `examples`, sentences classified by the .tflite.
    """
    task = load_task("rotten_tomatoes")
    training = TrainingConfig(seed=seed, epochs=epochs or TrainingConfig.epochs)
    config = BEExformerConfig.preset("tiny")

    runs, files = [], []
    for name, model in {"float32": config.twin(), "weights-only": config}.items():
        if verbose:
            print(f"Training {name} on {len(task.train):,} texts")
        finished = train(task, directory / name, model=model, training=training, verbose=verbose)
        plots.save_run_figures(finished)
        file, figures = finished.directory / "model.tflite", finished.calibration.to_dict()
        export.export_file(finished.model, file, calibration=figures)
        runs.append(finished.evaluation)
        files.append(file)
    twin, beex = runs
    twin_size, size = (file.stat().st_size for file in files)

    runner = runtime.load(files[1])
    converted = runtime.evaluate_runner(runner, task, task.test)

    def full_depth(found: Evaluation) -> dict[str, Any]:
        depth = float(config.num_blocks)
        return {"accuracy": found.full_depth_score, "mean depth": depth, "FLOPs saved": 0.0}

    def with_exits(found: Evaluation) -> dict[str, Any]:
        saved = {"mean depth": found.mean_depth, "FLOPs saved": found.flops_saved}
        return {"accuracy": found.score, **saved}

    labels, smaller = task.test.labels, twin_size / size
    models: dict[str, dict[str, Any]] = {
        "majority class": {"accuracy": score(labels, majority_predictions(task))},
        "TF-IDF + logistic regression": {"accuracy": score(labels, tfidf_predictions(task))},
        "float32 twin, full depth": {**full_depth(twin), "bytes": twin_size, "smaller": 1.0},
        "BEExformer, full depth": full_depth(beex),
        "BEExformer, calibrated exit": with_exits(beex),
        f"{file.name}, calibrated exit": {
            **with_exits(converted),
            "bytes": size,
            "smaller": smaller,
        },
    }
    return {
        "task": task.name,
        "seed": seed,
        "models": [{"model": name, **figures} for name, figures in models.items()],
        "examples": [
            {"text": text, **prediction.to_dict()}
            for text, prediction in zip(SENTENCES, runner.classify(SENTENCES), strict=True)
        ],
    }
