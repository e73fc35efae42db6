"""Trains and measures a suite of tasks, variants and seeds; writes tables and figures.

    python benchmarks/suite --suite paper --data-dir DATA -o runs/paper

The same command continues a benchmark that was interrupted.
"""

import sys
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).parents[1]))

from beex_keras.cli.options import json_option
from beex_keras.cli.terminal import print_figures, quiet_libraries
from beex_keras.errors import BeexError


@click.command(help=(__doc__ or "").split("\n")[0])
@click.option(
    "--suite",
    default="paper",
    show_default=True,
    help="Name of a file in benchmarks/suite/suites, or a .toml file.",
)
@click.option(
    "--data-dir",
    help="Folder with a GLUE download and the JSON lines of clinc, sick, snips and trec.",
)
@click.option("--jobs", type=click.IntRange(min=1), default=1, help="Trainings side by side.")
@click.option("--threads", type=click.IntRange(min=1), default=1, help="Threads of each training.")
@click.option("--train/--no-train", default=True, help="Train what is missing, or only report.")
@click.option("-o", "--output", type=click.Path(), required=True, help="Folder of the benchmark.")
@json_option
def main(suite: str, output: str, as_json: bool, **options) -> None:
    """See the module."""
    from suite import summary
    from suite.benchmark import benchmark

    try:
        with quiet_libraries():
            results = benchmark(suite, output, **options, verbose=not as_json)
    except BeexError as error:
        raise click.ClickException(str(error)) from error
    print_figures(results, as_json, lambda: summary.rows(results), f"Suite {suite}, test splits")
    if not as_json:
        click.echo(f"{output}/report.md has all of it.")


if __name__ == "__main__":
    main()
