"""Train, calibrate, convert and classify: the whole way on film reviews of Rotten Tomatoes.

    python examples/demo.py

The demo trains a BEExformer as `beex train rotten_tomatoes` does, converts it and compares it with baselines.
"""

import json
import sys
from pathlib import Path
from typing import Any

import rich_click as click

import beex_keras as beex
from beex_keras.cli.options import json_option
from beex_keras.cli.terminal import print_figures, quiet_libraries
from beex_keras.files import write_atomically

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"

SENTENCES = (
    "a gorgeous, witty, seductive movie.",
    "the plot is a mess and the jokes fall flat.",
    "not a bad film, but it never quite comes together.",
    "one of the best of the year.",
)


def run(directory: Path, seed: int, verbose: int | str) -> dict[str, Any]:
    """Trains, converts and compares in a folder.

    Returns:
        `models`, one row each (accuracy on the test split, mean depth, FLOPs saved, file size);
        `examples`, sentences that the .tflite file has classified.
    """
    from beex_keras.evaluation import Evaluation, plots, score

    sys.path.append(str(BENCHMARKS))
    from baselines import majority_predictions, tfidf_predictions

    task = beex.load_task("rotten_tomatoes")
    if verbose:
        print(f"Training on {len(task.train):,} texts")
    finished = beex.train(task, directory / "run", seed=seed, verbose=verbose)
    plots.save_run_figures(finished)
    file, figures = finished.directory / "model.tflite", finished.calibration.to_dict()
    beex.convert(finished.model, file, calibration=figures)
    runner = beex.load(file)
    converted = beex.evaluation.evaluate_runner(runner, task, task.test)
    config, size = finished.model.config, file.stat().st_size
    real_size = beex.export.beex.weights_size(config.twin(), config.max_length)

    def with_exits(found: Evaluation) -> dict[str, Any]:
        saved = {"mean depth": found.mean_depth, "FLOPs saved": found.flops_saved}
        return {"accuracy": found.score, **saved}

    labels, keras = task.test.labels, finished.evaluation
    whole = {"mean depth": float(config.num_blocks), "FLOPs saved": 0.0}
    models: dict[str, dict[str, Any]] = {
        "majority class": {"accuracy": score(labels, majority_predictions(task))},
        "TF-IDF + logistic regression": {"accuracy": score(labels, tfidf_predictions(task))},
        "BEExformer, full depth": {"accuracy": keras.full_depth_score, **whole},
        "BEExformer, calibrated exit": with_exits(keras),
        f"{file.name}, calibrated exit": {**with_exits(converted), "bytes": size},
        "its weights in float32": {"bytes": real_size},
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


@click.command(help=(__doc__ or "").split("\n")[0])
@click.option("-o", "--output", type=click.Path(), default="runs/demo", show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@json_option
def main(output: str, seed: int, as_json: bool) -> None:
    """Runs the demo and prints its figures."""
    try:
        with quiet_libraries():
            figures = run(Path(output), seed, verbose=0 if as_json else "auto")
    except beex.BeexError as error:
        raise click.ClickException(str(error)) from error
    write_atomically(Path(output) / "demo.json", json.dumps(figures, indent=2) + "\n")
    print_figures(figures, as_json, lambda: figures["models"], "rotten_tomatoes, test split")
    if not as_json:
        for example in figures["examples"]:
            click.echo("{label}\t{score:.4f}\texit {exit}\t{text}".format(**example))


if __name__ == "__main__":
    main()
