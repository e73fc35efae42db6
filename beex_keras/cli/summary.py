"""`beex summary`: what a model consists of, and what its export weighs."""

import importlib.util
from typing import Any

import rich_click as click

from beex_keras.cli.options import json_option
from beex_keras.cli.terminal import print_figures
from beex_keras.errors import BeexError
from beex_keras.files import read_bytes
from beex_keras.models.config import PRESETS, BEExformerConfig
from beex_keras.precision import KINDS

_presets, _bits = click.Choice(list(PRESETS)), click.Choice(list(KINDS))


@click.command()
@click.argument("model", type=click.Path(), required=False)
@click.option("--preset", type=_presets, help="A preset instead of a trained MODEL.")
@click.option("--bits", type=_bits, help="Of the preset; weights-only by default.")
@click.option("--length", type=int, help="Tokens of a text for MACs and FLOPs.")
@json_option
def summary(
    model: str | None, preset: str | None, bits: str | None, length: int | None, as_json: bool
) -> None:
    """Parameters, bytes and MACs of a MODEL, and the bytes of its export beside float32's.

    The export is a .beex file, if MODEL is one or there is no TensorFlow, or else a .tflite file.
    """
    if (model is None) == (preset is None):
        raise BeexError("Give either a MODEL or --preset.")
    if model is not None and bits is not None:
        raise BeexError("--bits goes with --preset; a trained MODEL has its bits already.")
    report = _of_model(model, length) if model else _of_preset(preset or "", bits, length)
    print_figures(report.to_dict(), as_json, report.tables, "")


def _of_model(model: str, length: int | None) -> Any:
    from beex_keras import pretrained

    path = pretrained.find(model)
    if path.suffix == ".beex" and path.is_file():
        from beex_keras.export.beex import size_report as beex_report

        return beex_report.summarize_file(read_bytes(path, "model"), str(path), length)
    from beex_keras import runtime
    from beex_keras.export.tflite import size_report

    return size_report.summarize(runtime.load_classifier(model), length)


def _of_preset(preset: str, bits: str | None, length: int | None) -> Any:
    config = BEExformerConfig.preset(preset, bits or "weights-only")
    if not importlib.util.find_spec("larq_compute_engine"):
        from beex_keras.export.beex import size_report as beex_report

        return beex_report.summarize(config, length)
    from beex_keras.export.tflite import size_report
    from beex_keras.models import BEExformerClassifier

    return size_report.summarize(BEExformerClassifier(config), length)
