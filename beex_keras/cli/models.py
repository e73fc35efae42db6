"""`beex models`: what comes with the package."""

from typing import Any

import rich_click as click

from beex_keras import pretrained
from beex_keras.cli.options import json_option
from beex_keras.cli.terminal import print_figures


@click.command()
@click.argument("name", required=False)
@json_option
def models(name: str | None, as_json: bool) -> None:
    """List the trained models of the package, or print the card of the one called NAME."""
    if name is None:
        cards = {known: pretrained.card(known) for known in pretrained.names()}
        print_figures(cards, as_json, lambda: [_row(card) for card in cards.values()], "")
    elif as_json:
        print_figures(pretrained.card(name), as_json, list, "")
    else:
        click.echo(pretrained.page(name), nl=False)


_MOST_LABELS, _FIRST_LABELS = 8, 4
"""The list has all labels of a model up to the first number, and of more labels the second number."""


def _some(labels: list[str]) -> str:
    if len(labels) <= _MOST_LABELS:
        return ", ".join(labels)
    return f"{', '.join(labels[:_FIRST_LABELS])} and {len(labels) - _FIRST_LABELS} more"


def _row(card: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": card["name"],
        "task": card["task"],
        "labels": _some(card["labels"]),
        "languages": ", ".join(card["languages"]),
        card["metric"]: card["test"]["score"],
        "blocks": card["config"]["num_blocks"],
        "bytes": card["file"]["bytes"],
    }
