"""The whole journey on the packaged movie reviews: train, calibrate, convert, classify."""

from pathlib import Path
from typing import Any

from beex_keras import export, runtime
from beex_keras.data import load_task
from beex_keras.evaluation import evaluate_exits, plots
from beex_keras.evaluation.accounting import relative_costs
from beex_keras.evaluation.baselines import majority_accuracy, tfidf_accuracy
from beex_keras.models import BEExformerConfig
from beex_keras.training import Run, TrainingConfig, train

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
    runs = {}
    for name, bits in {"float32": "float", "weights-only": "weights-only"}.items():
        if verbose:
            print(f"Training {name} on {len(task.train):,} texts")
        config = BEExformerConfig.preset("tiny", bits)
        runs[name] = train(task, directory / name, model=config, training=training, verbose=verbose)
        plots.save_run_figures(runs[name])
    twin, beex = runs.values()
    twin_file, file = (_convert(finished) for finished in (twin, beex))

    runner = runtime.load(file)
    test = task.test
    found = runner.decide(runner.encode(test.texts, test.pairs))
    converted = evaluate_exits(
        found.logits.argmax(axis=1),
        found.exits,
        config.num_blocks,
        test.labels,
        relative_costs(config),
    )

    def row(name: str, accuracy: float | None, **figures: Any) -> dict[str, Any]:
        return {"model": name, "accuracy": accuracy, **figures}

    depth = float(config.num_blocks)
    size, twin_size = file.stat().st_size, twin_file.stat().st_size
    return {
        "task": task.name,
        "seed": seed,
        "models": [
            row("majority class", majority_accuracy(task)),
            row("TF-IDF + logistic regression", tfidf_accuracy(task)),
            row(
                "float32 twin, full depth",
                twin.evaluation.full_depth_score,
                **{"mean depth": depth, "FLOPs saved": 0.0, "bytes": twin_size, "smaller": 1.0},
            ),
            row(
                "BEExformer, full depth",
                beex.evaluation.full_depth_score,
                **{"mean depth": depth, "FLOPs saved": 0.0},
            ),
            row("BEExformer, calibrated exit", beex.evaluation.score, **_saving(beex.evaluation)),
            row(
                f"{file.name}, calibrated exit",
                converted.score,
                **{**_saving(converted), "bytes": size, "smaller": twin_size / size},
            ),
        ],
        "examples": [
            {"text": text, **prediction.to_dict()}
            for text, prediction in zip(SENTENCES, runner.classify(SENTENCES), strict=True)
        ],
    }


def _convert(finished: Run) -> Path:
    file = finished.directory / "model.tflite"
    export.export_file(finished.model, file, calibration=finished.calibration.to_dict())
    return file


def _saving(evaluation: Any) -> dict[str, float]:
    return {"mean depth": evaluation.mean_depth, "FLOPs saved": evaluation.flops_saved}
