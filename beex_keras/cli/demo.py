"""`beex demo`: the whole journey on packaged text."""

import json
from pathlib import Path

import rich_click as click

from beex_keras.cli.options import json_option
from beex_keras.cli.terminal import print_figures
from beex_keras.files import write_atomically


@click.command()
@click.option("-o", "--output", type=click.Path(), default="runs/demo", show_default=True)
@click.option("--epochs", type=int, help="Instead of the recipe's.")
@click.option("--seed", type=int, default=0, show_default=True)
@json_option
def demo(output: str, epochs: int | None, seed: int, as_json: bool) -> None:
    """Train, calibrate, convert and classify on the packaged movie reviews, beside baselines."""
    from beex_keras.journey import run

    figures = run(Path(output), epochs, seed, verbose=0 if as_json else "auto")
    write_atomically(Path(output) / "demo.json", json.dumps(figures, indent=2) + "\n")
    print_figures(figures, as_json, lambda: figures["models"], "rotten_tomatoes, test split")
    if not as_json:
        for example in figures["examples"]:
            click.echo("{label}\t{score:.4f}\texit {exit}\t{text}".format(**example))
