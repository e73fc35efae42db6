"""`beex summary`: what a model consists of, and what its export weighs."""

import importlib.util
from typing import TYPE_CHECKING, Any

import rich_click as click

from beex_keras.cli.options import json_option
from beex_keras.cli.terminal import print_figures
from beex_keras.errors import BeexError
from beex_keras.files import read_bytes
from beex_keras.models.config import PRESETS, BEExformerConfig
from beex_keras.precision import KINDS

if TYPE_CHECKING:
    from beex_keras.models import BEExformerClassifier

_presets, _bits = click.Choice(list(PRESETS)), click.Choice(list(KINDS))


@click.command()
@click.argument("model", type=click.Path(), required=False)
@click.option("--preset", type=_presets, help="Describe a preset instead of a trained MODEL.")
@click.option(
    "--bits", type=_bits, help="Choose what the preset binarizes; the default is weights-only."
)
@click.option("--length", type=int, help="Count MACs and FLOPs for a text of this many tokens.")
@json_option
def summary(
    model: str | None, preset: str | None, bits: str | None, length: int | None, as_json: bool
) -> None:
    """Count the parameters, MACs and bytes of a MODEL, and compare its export with float32.

    A weights-only model is exported with activations of 8 bits, as 'beex convert' does. The export is a
    .beex file if MODEL is one or if Larq Compute Engine is not installed; otherwise it is a .tflite file.
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
        from beex_keras.export.beex import size_report

        return size_report.summarize_file(read_bytes(path, "model"), str(path), length)
    from beex_keras import runtime

    return _of_classifier(runtime.load_classifier(model), length)


def _of_preset(preset: str, bits: str | None, length: int | None) -> Any:
    config = BEExformerConfig.preset(preset, bits or "weights-only")
    if _converts_to_tflite():
        from beex_keras.models import BEExformerClassifier

        return _of_classifier(BEExformerClassifier(config), length)
    from beex_keras.export.beex import size_report

    return size_report.summarize(config, length)


def _of_classifier(classifier: "BEExformerClassifier", length: int | None) -> Any:
    if classifier.config.precision.name == "weights-only":
        classifier = classifier.with_activations(8)  # as `beex convert` does
    if _converts_to_tflite():
        from beex_keras.export.tflite import size_report

        return size_report.summarize(classifier, length)
    from beex_keras.export.beex import size_report as beex_report

    return beex_report.summarize(classifier.config, length)


def _converts_to_tflite() -> bool:
    return importlib.util.find_spec("larq_compute_engine") is not None
