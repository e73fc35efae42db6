"""`beex convert`: a trained model as a file for a device, or as a C project."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from beex_keras.cli.options import chosen_policy, json_option, model_argument, policy_options
from beex_keras.cli.terminal import print_figures
from beex_keras.errors import BeexError
from beex_keras.files import read_bytes, read_text

if TYPE_CHECKING:
    from beex_keras.exits import ExitPolicy
    from beex_keras.models import BEExformerClassifier

TARGETS = ("mcu",)
EXITS = ("in-graph", "all-outputs", "segments")


@click.command()
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
    """Convert a MODEL to a file for a device.

    MODEL is a run folder, a .keras or .beex file, or the name of a model that comes along.

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
    from beex_keras.export import beex

    classifier = runtime.load_classifier(model)
    classifier.policy = chosen_policy(classifier.policy, policy, threshold)
    calibration = _calibration(model, classifier.policy)
    if target:
        _convert_for_mcu(
            classifier, output, board, ram, flash, length, calibration, weights == "int8",
            int8_activations, as_json,
        )  # fmt: skip
        return
    if is_beex:
        report = beex.export_file(
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
    from beex_keras import tables
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


def _calibration(model: str, policy: "ExitPolicy") -> dict[str, Any] | None:
    """The figures of the model's calibration, if it still has the policy they are about."""
    from beex_keras import exits, pretrained
    from beex_keras.export import beex

    path = pretrained.find(model)
    figures = None
    if path.suffix == ".beex" and path.is_file():
        figures = beex.read(read_bytes(path, "model"), str(path)).calibration
    elif (path / "results.json").is_file():
        figures = json.loads(read_text(path / "results.json", "results"))["calibration"]
    if figures is None or figures["policy"] != exits.serialize(policy):
        return None
    return figures
