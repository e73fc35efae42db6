"""`beex summary`: what a model consists of, and what its export weighs."""

import rich_click as click

from beex_keras.cli.options import json_option
from beex_keras.cli.terminal import print_figures
from beex_keras.errors import BeexError
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
    """Parameters, bytes and MACs of a MODEL, and the bytes of its export beside float32's."""
    if (model is None) == (preset is None):
        raise BeexError("Give either a MODEL or --preset.")
    if model is not None and bits is not None:
        raise BeexError("--bits goes with --preset; a trained MODEL has its bits already.")
    from beex_keras import runtime
    from beex_keras.export.tflite import size_report
    from beex_keras.models import BEExformerClassifier

    if model is not None:
        classifier = runtime.load_classifier(model)
    else:
        assert preset is not None
        classifier = BEExformerClassifier(BEExformerConfig.preset(preset, bits or "weights-only"))
    report = size_report.summarize(classifier, length)
    print_figures(report.to_dict(), as_json, report.tables, "")
