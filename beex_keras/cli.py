"""The command line, `beex`: train, calibrate, evaluate, convert, predict.

TensorFlow is imported inside the commands, so that help and mistakes in options answer at once.
"""

import itertools
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from beex_keras._version import __version__
from beex_keras.errors import BeexError
from beex_keras.files import open_lines, read_text, write_atomically
from beex_keras.terminal import (
    assignment,
    make_record,
    print_figures,
    quiet_libraries,
    read_records,
    show_progress,
)

if TYPE_CHECKING:
    from beex_keras.data import Task
    from beex_keras.exits import ExitPolicy
    from beex_keras.models import BEExformerClassifier

PRESETS = ("micro", "tiny", "small", "minilm", "base")
POLICIES = ("fractional_entropy", "entropy", "confidence", "patience", "fixed_depth")
TARGETS = ("mcu",)
EXITS = ("in-graph", "all-outputs", "segments")
BITS = {"float": (32, 32), "weights-only": (1, 32), "fully-binary": (1, 1)}


def main(arguments: list[str] | None = None) -> None:
    """Runs `beex`; mistakes of the user end in one sentence on stderr and exit code 2."""
    try:
        with quiet_libraries():
            code = app(args=arguments, prog_name="beex", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        sys.exit(2)
    except click.ClickException as error:
        _fail(error.format_message())
    except BeexError as error:
        _fail(str(error))
    except BrokenPipeError:
        # The reader of our output has gone (`beex predict … | head`); that is no mistake.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted; the same command continues a training", err=True)
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(sentence: str) -> None:
    click.echo(f"error: {sentence}", err=True)
    sys.exit(2)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="beex")
def app() -> None:
    """Binarized early-exit transformers for text classification: train, convert, ship."""


# === Options that several commands share ===


def _options(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def decorate(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


data_options = _options(
    click.option("--task", default="rotten_tomatoes", show_default=True,
                 help="A named task, or 'files' for your own."),
    click.option("--data-dir", type=click.Path(),
                 help="Folder with a GLUE download, or with the JSON lines of sick, trec, snips."),
    click.option("--train", "train_file", type=click.Path(),
                 help="Your own .jsonl, .csv or .tsv (task 'files')."),
    click.option("--validation", "validation_file", type=click.Path()),
    click.option("--test", "test_file", type=click.Path()),
    click.option("--text-column", default="text", show_default=True),
    click.option("--pair-column", help="Column of the second sentence, for pairs."),
    click.option("--label-column", default="label", show_default=True),
)  # fmt: skip

policy_options = _options(
    click.option("--policy", type=click.Choice(POLICIES),
                 help="Exit policy instead of the model's own."),
    click.option("--threshold", type=float, help="Its threshold."),
)  # fmt: skip

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
model_argument = click.argument("model", type=click.Path())


def _task(options: dict[str, Any]) -> "Task":
    from beex_keras.data import load_task

    name = options["task"]
    own = {part: options[f"{part}_file"] for part in ("train", "validation", "test")}
    if own["train"] is None and (own["validation"] or own["test"]):
        raise BeexError("--validation and --test need --train beside them; name the training file.")
    return load_task(
        "files" if own["train"] else name,
        data_dir=options["data_dir"],
        text_column=options["text_column"],
        pair_column=options["pair_column"],
        label_column=options["label_column"],
        **own,
    )


def _policy(own: "ExitPolicy", name: str | None, threshold: float | None) -> "ExitPolicy":
    """The model's own policy, or the one that the options ask for."""
    from beex_keras import exits

    if name is None:
        return own if threshold is None else own.with_threshold(_number(threshold))
    if threshold is None:
        raise BeexError("--policy needs --threshold beside it; or calibrate with 'beex calibrate'.")
    return exits.get(name).with_threshold(_number(threshold))


def _number(value: float) -> int | float:
    return int(value) if value == int(value) else value


# === Commands ===


@app.command()
@data_options
@click.option("--preset", type=click.Choice(PRESETS), default="tiny", show_default=True)
@click.option("--bits", type=click.Choice(list(BITS)), default="weights-only", show_default=True,
              help="Which of weights and activations are binarized.")  # fmt: skip
@click.option("--embedding-bits", type=click.Choice(["1", "32"]),
              help="Token table; by default 1, and 32 with --bits float.")  # fmt: skip
@click.option("--vocabulary", "vocabulary_file", type=click.Path(),
              help="A vocab.txt; learned from the training split by default.")  # fmt: skip
@click.option("--vocabulary-size", type=int, help="Entries to learn, instead of the preset's.")
@click.option("--pieces/--whole-words", default=None,
              help="Learn a vocabulary with pieces of rare words, or of whole words alone.")  # fmt: skip
@click.option("--max-length", type=int, help="Tokens read of a text, instead of the preset's.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE",
              help="Any other field of BEExformerConfig; may be repeated.")  # fmt: skip
@click.option("--epochs", type=int)
@click.option("--batch-size", type=int)
@click.option("--learning-rate", type=float)
@click.option("--loss", type=click.Choice(["uniform", "linear", "routed", "last"]),
              help="How the exits' losses are weighted.")  # fmt: skip
@click.option("--policy", type=click.Choice(POLICIES), help="Exit policy to calibrate.")
@click.option("--tolerance", type=float, help="Accuracy that early exit may cost, such as 0.005.")
@click.option("--patience", type=int, help="Stop after so many epochs without improvement.")
@click.option("--seed", type=int)
@click.option(
    "--checkpoint-seconds",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    help="Time between checkpoints within an epoch.",
)
@click.option("--tensorboard", is_flag=True, help="Write logs for TensorBoard to the run folder.")
@click.option("-o", "--output", type=click.Path(), required=True, help="Run folder.")
@json_option
def train(**options: Any) -> None:
    """Train a classifier into a run folder; calibrate its exit and test it.

    The same command continues a training that was interrupted.
    """
    from beex_keras.models.config import BEExformerConfig
    from beex_keras.training.config import TrainingConfig

    weight_bits, activation_bits = BITS[options["bits"]]
    overrides: dict[str, Any] = {
        "weight_bits": weight_bits,
        "activation_bits": activation_bits,
        "embedding_bits": int(options["embedding_bits"] or min(32, weight_bits)),
        **dict(assignment(text) for text in options["settings"]),
    }
    for name in ("vocabulary_size", "max_length"):
        if options[name] is not None:
            overrides[name] = options[name]
    model_config = BEExformerConfig.preset(options["preset"], **overrides)
    names = (
        "epochs",
        "batch_size",
        "learning_rate",
        "loss",
        "policy",
        "tolerance",
        "patience",
        "pieces",
    )
    given = {name: options[name] for name in (*names, "seed") if options[name] is not None}
    training_config = TrainingConfig(**given)
    task = _task(options)

    import tensorflow as tf

    from beex_keras.evaluation import plots
    from beex_keras.text import read_vocabulary
    from beex_keras.training import train as run_recipe

    callbacks = []
    if options["tensorboard"]:
        callbacks.append(tf.keras.callbacks.TensorBoard(Path(options["output"]) / "tensorboard"))
    file = options["vocabulary_file"]
    run = run_recipe(
        task, model_config, training_config, options["output"],
        vocabulary=read_vocabulary(file) if file else None,
        callbacks=callbacks,
        checkpoint_seconds=options["checkpoint_seconds"],
        verbose=0 if options["as_json"] else "auto",
    )  # fmt: skip
    plots.save_run_figures(run)
    test = run.evaluation.to_dict()
    figures = {"run": options["output"], "calibration": run.calibration.to_dict(), "test": test}
    print_figures(figures, options["as_json"], lambda: _evaluation_rows(test), "Test split")


@app.command()
@model_argument
@data_options
@click.option("--policy", type=click.Choice(POLICIES), default="confidence",
              show_default=True)  # fmt: skip
@click.option("--tolerance", type=float, default=0.005, show_default=True,
              help="Accuracy that early exit may cost, such as 0.005.")  # fmt: skip
@click.option("--figure", type=click.Path(), help="Draw the trade-off curve to this file.")
@json_option
def calibrate(model: str, policy: str, tolerance: float, figure: str | None, as_json: bool,
              **options: Any) -> None:  # fmt: skip
    """Choose a Keras MODEL's exit threshold on the validation split, and keep it in MODEL."""
    if not 0 <= tolerance < 1:
        raise BeexError(f"--tolerance {tolerance} must lie in [0, 1).")
    task = _task(options)
    from beex_keras import exits, runtime
    from beex_keras.evaluation import calibrate as choose
    from beex_keras.evaluation import plots
    from beex_keras.evaluation.accounting import relative_costs

    classifier = runtime.load_classifier(model)
    labels = _same_labels(task, classifier.labels)
    logits = _split_logits(runtime.KerasRunner(classifier), task.validation)
    found = choose(
        exits.get(policy), logits, labels[task.validation.labels],
        relative_costs(classifier.config), tolerance,
    )  # fmt: skip
    classifier.policy = found.policy
    classifier.save_pretrained(runtime.model_directory(model))
    if figure:
        plots.save(plots.trade_off(found), figure)
    figures = found.to_dict()
    print_figures(
        figures, as_json, lambda: [{**figures, "policy": repr(found.policy)}], "Validation split"
    )


@app.command()
@model_argument
@data_options
@click.option("--split", type=click.Choice(["train", "validation", "test"]), default="test",
              show_default=True)  # fmt: skip
@policy_options
@json_option
def evaluate(model: str, split: str, policy: str | None, threshold: float | None, as_json: bool,
             **options: Any) -> None:  # fmt: skip
    """Accuracy of a MODEL (as for predict) with its policy, and at each exit if it computes all."""
    task = _task(options)
    from beex_keras import runtime
    from beex_keras.evaluation import evaluate as measure
    from beex_keras.evaluation import evaluate_exits
    from beex_keras.evaluation.accounting import relative_costs

    runner = runtime.load(model)
    labels = _same_labels(task, runner.labels)
    samples = getattr(task, split)
    known = labels[samples.labels]
    rule = _policy(runner.policy, policy, threshold)
    costs = relative_costs(runner.config)
    if runner.exits_by_itself:
        found = runner.decide(runner.encode(samples.texts, samples.pairs), rule)
        predicted = found.logits.argmax(axis=1)
        result = evaluate_exits(
            predicted, found.exits, runner.config.num_blocks, known, costs, task.metric
        )
    else:
        result = measure(_split_logits(runner, samples), known, rule, costs, task.metric)
    figures = result.to_dict()
    print_figures(
        figures, as_json, lambda: _evaluation_rows(figures), f"{task.name}, {split} split"
    )


@app.command()
@model_argument
@click.argument("texts", nargs=-1)
@click.option("--pair", help="Second sentence, for a model of sentence pairs.")
@click.option("--file", "text_file", type=click.Path(), help="Read texts from a file, one a line.")
@click.option(
    "--jsonl", is_flag=True, help="Lines are JSON objects; they are written back with the answer."
)
@click.option(
    "--text-column", default="text", show_default=True, help="Field of the text, with --jsonl."
)
@click.option("--pair-column", default="text2", show_default=True, help="Field of the second text.")
@click.option("--truncate", is_flag=True, help="Cut texts that are longer than the model reads.")
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=1024,
    show_default=True,
    help="Texts read before their answers are written; 1 answers each line at once.",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Threads of the interpreter.",
)
@policy_options
@json_option
def predict(model: str, texts: tuple[str, ...], pair: str | None, text_file: str | None,
            jsonl: bool, text_column: str, pair_column: str, truncate: bool, batch_size: int,
            threads: int, policy: str | None, threshold: float | None,
            as_json: bool) -> None:  # fmt: skip
    """Classify TEXTS with a MODEL: label, score, exit taken.

    MODEL is a run folder, a .keras, .tflite or .beex file, or a directory of segments. Without
    TEXTS, reads standard input as it comes, one text a line; a pair's two sentences stand on one
    line with a tab between them.
    """
    if pair is not None and len(texts) != 1:
        raise BeexError("--pair goes with exactly one text; give pairs as lines with a tab.")
    if not texts and text_file:
        with open_lines(text_file, "text file") as file:
            count: int | None = sum(1 for _ in file)
    else:
        count = len(texts) or None
    from beex_keras import runtime

    runner = runtime.load(model, threads)
    pairs = runner.config.num_segments > 1
    if pair is not None and not pairs:
        raise BeexError("The model reads single texts, not pairs; leave out --pair.")
    columns = (text_column, pair_column) if jsonl else None
    if pair is None:
        records = read_records(texts, text_file, columns, pairs)
    else:
        records = iter([make_record(texts[0], pair)])
    first, second, beside = itertools.tee(records, 3)
    predictions = runner.stream(
        (record.text for record in first),
        (record.pair or "" for record in second) if pairs else None,
        policy=_policy(runner.policy, policy, threshold),
        truncate=truncate,
        chunk=batch_size,
    )
    # Predictions come first: they read as far ahead as they need.
    for prediction, record in zip(show_progress(predictions, count), beside, strict=False):
        if as_json or jsonl:
            values = {**record.values, **prediction.to_dict()}
            click.echo(json.dumps(values, ensure_ascii=False))
        else:
            depth = f"exit {prediction.exit}/{runner.config.num_blocks}"
            click.echo(f"{prediction.label}\t{prediction.score:.4f}\t{depth}\t{record.text}")


@app.command()
@model_argument
@click.option(
    "-o",
    "--output",
    type=click.Path(),
    required=True,
    help="The file to write; with --exit segments or --target mcu a directory.",
)
@click.option(
    "--target",
    type=click.Choice(TARGETS),
    help="Write a C project for microcontrollers: model, engine, start-up code, Makefile.",
)
@click.option("--board", help="Of --target mcu: an emulated board; netduinoplus2 by default.")
@click.option("--ram", help="Of --target mcu: RAM there is, such as 128K; the board's by default.")
@click.option("--flash", help="Of --target mcu: flash there is, such as 1M.")
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["tflite", "beex"]),
    help="By default beex if the output's suffix says so, or else tflite.",
)
@click.option(
    "--exit",
    "exit_kind",
    type=click.Choice(EXITS),
    default="in-graph",
    show_default=True,
    help="Let the file exit by itself, give the logits of all exits, or be one file a block.",
)
@click.option(
    "--threshold-input",
    is_flag=True,
    help="Make the policy's threshold an input of the file instead of a constant.",
)
@click.option(
    "--plan-memory",
    is_flag=True,
    help="Put a plan of the arena into the file, so that TensorFlow Lite Micro needs less of it.",
)
@policy_options
@click.option("--length", type=int, help="Tokens the file reads, instead of the model's maximum.")
@click.option(
    "--weights",
    type=click.Choice(["float32", "int8"]),
    help="How a .beex file holds the weights of a float32 model; binary ones take 1 bit anyhow.",
)
@click.option(
    "--int8-activations",
    is_flag=True,
    help="Of --target mcu: quantize what weights-only layers multiply; faster, less exact.",
)
@json_option
def convert(model: str, output: str, target: str | None, board: str | None, ram: str | None,
            flash: str | None, file_format: str | None, exit_kind: str, threshold_input: bool,
            plan_memory: bool, policy: str | None, threshold: float | None, length: int | None,
            weights: str | None, int8_activations: bool, as_json: bool) -> None:  # fmt: skip
    """Convert a Keras MODEL (run folder or .keras) to a file for a device.

    A .tflite runs in Larq Compute Engine and, with the ops of tflite/micro, in TensorFlow Lite Micro;
    a .beex in the C engine, and a project for microcontrollers on a bare Cortex-M.
    """
    chosen = click.get_current_context().get_parameter_source("exit_kind")
    if target is None and (board or ram or flash or int8_activations):
        raise BeexError("--board, --ram, --flash and --int8-activations go with --target mcu.")
    if target and file_format:
        raise BeexError("--target mcu writes a folder with the model inside; leave out --format.")
    is_beex = target or (file_format or Path(output).suffix.removeprefix(".")) == "beex"
    is_default = chosen is click.core.ParameterSource.DEFAULT
    if is_beex and (threshold_input or plan_memory or not is_default):
        raise BeexError(
            "--exit, --threshold-input and --plan-memory are for .tflite files; a .beex model always "
            "exits by itself, and by any policy."
        )
    if weights is not None and not is_beex:
        raise BeexError(
            "--weights is for .beex files and --target mcu; name the output so, or leave it out."
        )
    from beex_keras import export, runtime
    from beex_keras.export import beex_format

    classifier = runtime.load_classifier(model)
    classifier.policy = _policy(classifier.policy, policy, threshold)
    calibration = _calibration(model, classifier.policy)
    if target:
        _convert_for_mcu(
            classifier, output, board, ram, flash, length, calibration, weights == "int8",
            int8_activations, as_json,
        )  # fmt: skip
        return
    if is_beex:
        report = beex_format.export_file(
            classifier, output, length, calibration, int8_weights=weights == "int8"
        )
    else:
        report = export.export_file(
            classifier, output, length, calibration, exit_kind, threshold_input, plan_memory
        )
    print_figures(report, as_json, lambda: [report], output)


def _convert_for_mcu(
    classifier: "BEExformerClassifier",
    output: str,
    board: str | None,
    ram: str | None,
    flash: str | None,
    length: int | None,
    calibration: dict[str, Any] | None,
    int8_weights: bool,
    int8_activations: bool,
    as_json: bool,
) -> None:
    from beex_keras.evaluation import tables
    from beex_keras.export import mcu

    try:
        report = mcu.export_project(
            classifier,
            output,
            board or mcu.DEFAULT,
            mcu.parse_size(ram, "--ram") if ram else None,
            mcu.parse_size(flash, "--flash") if flash else None,
            length,
            calibration,
            int8_weights,
            int8_activations,
        )
    except mcu.DoesNotFit as error:
        tables.show(error.rows, to_stderr=True)
        raise
    print_figures(report.to_dict(), as_json, report.tables, "")
    if not as_json:
        click.echo(f"make -C {output} BOARD={report.board} emulate < texts")


@app.command()
@click.argument("model", type=click.Path(), required=False)
@click.option("--preset", type=click.Choice(PRESETS), help="A preset instead of a trained MODEL.")
@click.option(
    "--bits", type=click.Choice(list(BITS)), help="Of the preset; weights-only by default."
)
@click.option("--length", type=int, help="Tokens of a text for MACs and FLOPs.")
@json_option
def summary(model: str | None, preset: str | None, bits: str | None, length: int | None,
            as_json: bool) -> None:  # fmt: skip
    """Parameters, bytes and MACs of a MODEL, and the bytes of its export beside float32's."""
    if (model is None) == (preset is None):
        raise BeexError("Give either a MODEL or --preset.")
    if model is not None and bits is not None:
        raise BeexError("--bits goes with --preset; a trained MODEL has its bits already.")
    from beex_keras import runtime
    from beex_keras.export import size
    from beex_keras.models import BEExformerClassifier, BEExformerConfig

    if model is None:
        assert preset is not None
        weight_bits, activation_bits = BITS[bits or "weights-only"]
        config = BEExformerConfig.preset(
            preset,
            weight_bits=weight_bits,
            activation_bits=activation_bits,
            embedding_bits=weight_bits,
        )
        classifier = BEExformerClassifier(config)
    else:
        classifier = runtime.load_classifier(model)
    report = size.summarize(classifier, length)
    print_figures(report.to_dict(), as_json, report.tables, "")


@app.command()
@click.option("--suite", default="paper", show_default=True,
              help="A packaged suite, smoke or paper, or a .toml file of your own.")  # fmt: skip
@click.option("--data-dir", type=click.Path(),
              help="Folder with a GLUE download and the JSON lines of sick, trec, snips.")  # fmt: skip
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True,
              help="Trainings side by side.")  # fmt: skip
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True,
              help="Threads of each training.")  # fmt: skip
@click.option("--train/--no-train", default=True,
              help="Train what is missing, or only report on what is there.")  # fmt: skip
@click.option("--adopt", metavar="CODE",
              help="Take over trainings by another version of the code that gives the same results.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(), required=True, help="Folder of the benchmark.")
@json_option
def benchmark(suite: str, data_dir: str | None, jobs: int, threads: int, train: bool,
              adopt: str | None, output: str, as_json: bool) -> None:  # fmt: skip
    """Train and measure a whole suite of tasks and variants; write tables, figures, a page.

    The same command continues a benchmark that was interrupted.
    """
    from beex_keras.benchmark import benchmark as run_benchmark
    from beex_keras.benchmark import summary

    results = run_benchmark(
        suite, output, data_dir, jobs, threads, train, adopt, verbose=not as_json
    )
    print_figures(results, as_json, lambda: summary.rows(results), f"Suite {suite}, test splits")
    if not as_json:
        click.echo(f"{output}/report.md and {output}/report.html have all of it.")


@app.command()
@click.option("-o", "--output", type=click.Path(), default="runs/demo", show_default=True)
@click.option("--epochs", type=int, help="Instead of the recipe's.")
@click.option("--seed", type=int, default=0, show_default=True)
@json_option
def demo(output: str, epochs: int | None, seed: int, as_json: bool) -> None:
    """Train, calibrate, convert and classify on the packaged movie reviews, beside baselines."""
    from beex_keras.demo import run

    figures = run(Path(output), epochs, seed, verbose=0 if as_json else "auto")
    write_atomically(Path(output) / "demo.json", json.dumps(figures, indent=2) + "\n")
    print_figures(figures, as_json, lambda: figures["models"], "rotten_tomatoes, test split")
    if not as_json:
        for example in figures["examples"]:
            click.echo("{label}\t{score:.4f}\texit {exit}\t{text}".format(**example))


# === From models and tasks to figures ===


def _calibration(model: str, policy: "ExitPolicy") -> dict[str, Any] | None:
    """The figures of the run's calibration, if the model still has the policy they are about."""
    from beex_keras import exits

    file = Path(model) / "results.json"
    if not file.is_file():
        return None
    figures = json.loads(read_text(file, "results"))["calibration"]
    return figures if figures["policy"] == exits.serialize(policy) else None


def _same_labels(task: "Task", known: tuple[str, ...]) -> Any:
    """Class numbers of the model for those of the task."""
    import numpy as np

    missing = [label for label in task.labels if label not in known]
    if missing:
        raise BeexError(
            f"The task has the label '{missing[0]}' but the model knows {', '.join(known)}; "
            "evaluate it on the task it was trained on."
        )
    return np.array([known.index(label) for label in task.labels])


def _split_logits(runner: Any, split: Any) -> Any:
    return runner.exit_logits(runner.encode(split.texts, split.pairs))


def _evaluation_rows(figures: dict[str, Any]) -> list[dict[str, Any]]:
    """One row an exit, and one for the policy."""
    rows = [
        {"exit": number, figures["metric"]: value, "share leaving": share}
        for number, (value, share) in enumerate(
            itertools.zip_longest(figures["exit_scores"], figures["exit_shares"]), start=1
        )
    ]
    policy = {
        "exit": "policy", figures["metric"]: figures["score"],
        "mean depth": figures["mean_depth"], "FLOPs saved": figures["flops_saved"],
    }  # fmt: skip
    return [*rows, policy]


if __name__ == "__main__":
    main()
