"""`beex convert`: a trained model as a file for a device, or as a C project."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import rich_click as click

from beex_keras.cli.options import (
    Decorator,
    chosen_policy,
    given,
    json_option,
    model_argument,
    policy_options,
)
from beex_keras.cli.terminal import print_figures
from beex_keras.errors import BeexError
from beex_keras.export.description import EXITS
from beex_keras.files import read_bytes

if TYPE_CHECKING:
    from beex_keras.exits import ExitPolicy
    from beex_keras.export.description import Metadata
    from beex_keras.export.mcu import Footprint
    from beex_keras.models import BEExformerClassifier, BEExformerConfig

_TFLITE, _BEEX, _C, _MCU = ".tflite files", ".beex files", "arrays of C", "--target mcu"
_FORMATS = {"tflite": _TFLITE, "beex": _BEEX, "c": _C}
_OF_TFLITE = ("exit", "threshold_input", "plan_memory")
_OF_MCU = ("board", "ram", "flash")
_GOES_WITH = {
    **dict.fromkeys(_OF_TFLITE, (_TFLITE,)),
    **dict.fromkeys(_OF_MCU, (_MCU,)),
    "weights": (_BEEX, _C, _MCU),
    "file_format": (_TFLITE, _BEEX, _C),
}
"""The kinds of output that accept each option."""

_SIZE = re.compile(r"(\d+)([KM]?)", re.IGNORECASE)
_UNITS = {"": 1, "K": 1024, "M": 1024**2}


def _flag(name: str, text: str) -> Decorator:
    return click.option(name, is_flag=True, default=None, help=text)


def _bytes(_: click.Context, option: click.Parameter, text: str | None) -> int | None:
    """Parses a size such as 65536, 128K or 1M."""
    if text is None:
        return None
    match = _SIZE.fullmatch(text)
    if match is None or not int(match[1]):
        problem = f"--{option.name} {text} must be a number of bytes"
        raise BeexError(f"{problem}, such as 65536, 128K or 1M.")
    return int(match[1]) * _UNITS[match[2].upper()]


def _choice(name: str, values: Sequence[str], text: str, *others: str) -> Decorator:
    return click.option(name, *others, type=click.Choice(values), help=text)


@click.command()
@model_argument
@click.option(
    "-o",
    "--output",
    type=click.Path(),
    required=True,
    help="Write to this file; with --target mcu, to this directory.",
)
@_choice("--target", ["mcu"], "Write a C project for microcontrollers: model, engine, Makefile.")
@click.option(
    "--board", help="With --target mcu, name an emulated board; the default is netduinoplus2."
)
@click.option(
    "--ram",
    callback=_bytes,
    help="With --target mcu, give the bytes of RAM, such as 128K, if they are not the board's.",
)
@click.option(
    "--flash",
    callback=_bytes,
    help="With --target mcu, give the bytes of flash, such as 1M, if they are not the board's.",
)
@_choice(
    "--format",
    list(_FORMATS),
    "Write this format; by default the suffix of --output chooses it: .tflite, .beex, or .c (an array and its "
    "header).",
    "file_format",
)
@_choice(
    "--exit",
    EXITS,
    "Write a file that exits by itself (in-graph, the default), or one that gives the logits of all "
    "exits.",
)
@_flag("--threshold-input", "Make the threshold an input of the file instead of a constant.")
@_flag(
    "--plan-memory",
    "Store a plan of the arena in the file, so that TensorFlow Lite Micro needs less memory.",
)
@policy_options
@click.option(
    "--length",
    type=int,
    help="Let the file read at most this many tokens, instead of the model's maximum.",
)
@_choice(
    "--weights",
    ["float32", "int8"],
    "Store the weights of a float32 model as this type in a .beex file; binary ones always take 1 bit.",
)
@_choice(
    "--activations",
    ["8", "32"],
    "Give the activations of a weights-only model this many bits; 8, the default, is faster in the C "
    "engine, and 32 in Larq Compute Engine.",
)
@json_option
def convert(model: str, output: str, as_json: bool, **options: Any) -> None:
    """Convert a MODEL to a file for a device.

    MODEL is a run folder, a .keras or .beex file, or the name of a packaged model.

    A .tflite file runs in Larq Compute Engine and, with the ops of tflite/micro, in TensorFlow Lite
    Micro. A .beex file runs in the C engine. A project for microcontrollers runs on a bare Cortex-M.
    """
    kind = _MCU if options["target"] else _kind(output, options)
    for name, kinds in _GOES_WITH.items():
        if options[name] is not None and kind not in kinds:
            option = "--format" if name == "file_format" else f"--{name.replace('_', '-')}"
            raise BeexError(f"{option} is for {' and '.join(kinds)}; leave it out.")
    from beex_keras.export import beex, mcu

    source, figures = _source(model, options, needs_keras=kind == _TFLITE)
    arguments: dict[str, Any] = {"length": options["length"], "calibration": figures}
    if kind == _TFLITE:
        from beex_keras import export

        given_ones = given(options, *_OF_TFLITE)
        classifier = cast("BEExformerClassifier", source)
        report = export.convert(classifier, output, **arguments, file_format="tflite", **given_ones)
        print_figures(report, as_json, lambda: [report], output)
        return
    arguments["int8_weights"] = options["weights"] == "int8"
    if kind == _MCU:
        _convert_for_mcu(source, output, {**arguments, **given(options, *_OF_MCU)}, as_json)
        return
    if kind == _C:
        data = beex.convert(source, **arguments)
        mcu.write_arrays(data, output)
        report = beex.file_sizes(data)
    else:
        report = beex.export_file(source, output, **arguments)
    print_figures(report, as_json, lambda: [report], output)


def _kind(output: str, options: dict[str, Any]) -> str:
    """Returns the kind of file by --format, or else by the suffix."""
    suffix, file_format = Path(output).suffix.lower().removeprefix("."), options["file_format"]
    for name in given(options, *_OF_MCU):
        raise BeexError(f"--{name} is for {_MCU}; leave it out.")
    if (file_format or suffix) not in _FORMATS:
        fix = "end its name in .tflite, .beex or .c, or add --format"
        raise BeexError(f"The name {output} does not say which format to write; {fix}.")
    if suffix in _FORMATS and file_format not in (None, suffix):
        raise BeexError(f"--format {file_format} contradicts {output}; leave out one of them.")
    return _FORMATS[file_format or suffix]


def _source(
    model: str, options: dict[str, Any], needs_keras: bool
) -> tuple["BEExformerClassifier | bytes", dict[str, Any] | None]:
    """Returns the model with the options applied, and the calibration of its policy.

    The model is a classifier, or the bytes of a .beex file if no Keras model is needed.
    """
    from beex_keras import pretrained
    from beex_keras.export import beex

    path, asked = pretrained.find(model), options["activations"]
    is_file = path.suffix == ".beex" and path.is_file()
    if is_file:
        data = read_bytes(path, "model")
        about = beex.read(data, str(path))
        known: Mapping[int, Any] = {about.config.activation_bits: about.calibration}
        if not (needs_keras or options["weights"]):
            bits = _activations(about.config, asked)
            policy, figures = _calibrated(about, bits, known, options)
            return beex.rewrite(data, policy=policy, calibration=figures, activations=bits), figures
    from beex_keras.runtime.keras_runner import load_classifier

    classifier = load_classifier(model)
    if not is_file:
        known = _calibrations(path, classifier.config)
    return _changed(classifier, asked, known, options)


def _changed(
    classifier: "BEExformerClassifier",
    asked: str | None,
    known: Mapping[int, dict[str, Any] | None],
    options: dict[str, Any],
) -> tuple["BEExformerClassifier", dict[str, Any] | None]:
    bits = _activations(classifier.config, asked)
    policy, figures = _calibrated(classifier, bits, known, options)
    if bits is not None:
        classifier = classifier.with_activations(bits)
    classifier.policy = policy
    return classifier, figures


def _activations(config: "BEExformerConfig", asked: str | None) -> int | None:
    """Returns the bits of the activations to convert to; None keeps those of the model."""
    if asked is not None:
        return int(asked)
    return 8 if config.precision.name == "weights-only" else None


def _calibrations(path: Path, config: "BEExformerConfig") -> Mapping[int, dict[str, Any] | None]:
    """Returns the calibrations of a run folder by the bits of the activations."""
    from beex_keras.training import run_folder

    if not (path / run_folder.RESULTS).is_file():
        return {}
    return run_folder.read_calibrations(path, config.activation_bits)


def _calibrated(
    model: "BEExformerClassifier | Metadata",
    bits: int | None,
    known: Mapping[int, dict[str, Any] | None],
    options: dict[str, Any],
) -> tuple["ExitPolicy", dict[str, Any] | None]:
    """Returns the exit policy, and its calibration if that was made with these activations."""
    from beex_keras import exits

    own, before = model.policy, model.config.activation_bits
    figures = known.get(before if bits is None else bits)
    trained = known.get(before)
    if figures and trained and trained["policy"] == exits.serialize(own):
        own = exits.deserialize(figures["policy"])
    policy = chosen_policy(own, options)
    is_own = figures is not None and figures["policy"] == exits.serialize(policy)
    return policy, figures if is_own else None


def _convert_for_mcu(
    model: "BEExformerClassifier | bytes", output: str, arguments: dict[str, Any], as_json: bool
) -> None:
    from beex_keras import tables
    from beex_keras.export import mcu

    try:
        needed = mcu.export_project(model, output, **arguments)
    except mcu.DoesNotFit as error:
        tables.show(_memory_rows(error.footprint), to_stderr=True)
        raise
    board = needed.board
    figures = {
        "folder": output,
        "board": board.name,
        "footprint": needed.to_dict(),
        "flash": board.flash,
        "ram": board.ram,
    }
    title = f"{output}, bytes on {board.name}"
    print_figures(figures, as_json, lambda: {title: _memory_rows(needed)}, "")
    if not as_json:
        click.echo(f"make -C {output} BOARD={board.name} emulate < texts")


def _memory_rows(needed: "Footprint") -> list[dict[str, Any]]:
    return [
        {"part": "model", "flash": needed.model},
        {"part": "code", "flash": needed.code},
        {"part": "arena", "RAM": needed.arena},
        {"part": "stack", "RAM": needed.stack},
        {"part": "other data", "RAM": needed.data},
        {"part": "together", "flash": needed.flash, "RAM": needed.ram},
        {"part": "there is", "flash": needed.board.flash, "RAM": needed.board.ram},
    ]
