"""`beex summary`: the parameters, operations and bytes of a model."""

from typing import TYPE_CHECKING

import rich_click as click

from beex_keras.cli.options import json_option
from beex_keras.cli.terminal import print_figures
from beex_keras.errors import BeexError
from beex_keras.files import read_bytes
from beex_keras.models.config import PRESETS, BEExformerConfig
from beex_keras.precision import KINDS

if TYPE_CHECKING:
    from beex_keras.export.size_report import SizeReport

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
    """Count the parameters, MACs and bytes of a MODEL, and compare its .beex file with float32.

    A weights-only model is exported with activations of 8 bits, as 'beex convert' does.
    """
    if (model is None) == (preset is None):
        raise BeexError("Give either a MODEL or --preset.")
    if model is not None and bits is not None:
        raise BeexError("--bits goes with --preset; a trained MODEL has its bits already.")
    report = _of_model(model, length) if model else _of_preset(preset or "", bits, length)
    print_figures(report.to_dict(), as_json, report.tables, "")


def _of_model(model: str, length: int | None) -> "SizeReport":
    from beex_keras import pretrained
    from beex_keras.export import size_report

    path = pretrained.find(model)
    if path.suffix == ".beex" and path.is_file():
        return size_report.of_file(read_bytes(path, "model"), str(path), length)
    from beex_keras.runtime.keras_runner import load_classifier

    return size_report.of_config(_exported(load_classifier(model).config), length)


def _of_preset(preset: str, bits: str | None, length: int | None) -> "SizeReport":
    from beex_keras.export import size_report

    config = BEExformerConfig.preset(preset, bits or "weights-only")
    return size_report.of_config(_exported(config), length)


def _exported(config: BEExformerConfig) -> BEExformerConfig:
    """The configuration that `beex convert` exports a model with."""
    return config.with_activations(8) if config.precision.name == "weights-only" else config
