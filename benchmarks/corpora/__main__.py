"""Writes a public corpus as JSON lines that `beex train` reads.

    python -m benchmarks.corpora glue/sst2 --data-dir DATA --output corpora/sst2
    beex train corpora/sst2 -o runs/sst2

The folder has the files train.jsonl, validation.jsonl and test.jsonl with the columns `text` and `label`;
pairs also have the column `pair`.
"""

import json
from pathlib import Path

import click

from beex_keras.data import Split, Task
from beex_keras.errors import BeexError
from beex_keras.files import write_atomically

from . import NAMES, load


def as_lines(task: Task, split: Split) -> str:
    """The rows of a split as JSON lines, with the names of classes as labels."""
    labels = split.labels.tolist()
    if not task.is_regression:
        labels = [task.labels[label] for label in labels]
    columns = {"text": split.texts, "pair": split.pairs, "label": labels}
    columns = {name: values for name, values in columns.items() if values is not None}
    rows = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


@click.command(help=(__doc__ or "").split("\n")[0])
@click.argument("name", type=click.Choice(NAMES), metavar="NAME")
@click.option("--data-dir", type=click.Path(), help="Folder of the downloaded corpora.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="New folder.")
def main(name: str, data_dir: str | None, output: Path) -> None:
    """See the module."""
    try:
        task = load(name, data_dir)
        for split, rows in task.splits().items():
            write_atomically(output / f"{split}.jsonl", as_lines(task, rows))
    except (BeexError, OSError) as error:
        raise click.ClickException(str(error)) from error
    sizes = ", ".join(f"{len(rows):,} for {split}" for split, rows in task.splits().items())
    click.echo(f"{output}: {sizes}. {task.notes}")


if __name__ == "__main__":
    main()
