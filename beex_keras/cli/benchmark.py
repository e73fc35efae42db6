"""`beex benchmark`: a suite of tasks, variants and seeds."""

import rich_click as click

from beex_keras.cli.options import json_option
from beex_keras.cli.terminal import print_figures


@click.command()
@click.option("--suite", default="paper", show_default=True,
              help="A packaged suite, smoke, paper or warm, or a .toml file of your own.")  # fmt: skip
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
