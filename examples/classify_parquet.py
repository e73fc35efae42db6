"""Classify a Parquet data set on one machine or a cluster, by Ray Data.

    pip install 'beex-keras[scale]'
    python examples/classify_parquet.py reviews labelled --model sst2-micro --text-column review

INPUT is a file or a folder of Parquet, OUTPUT a folder that is not there yet; on a cluster all machines
see both. All columns stay, and five are added: label, score, exit, whether the text was truncated, and,
for a text that cannot be classified, the error in their place. A model that answers a number has value
in place of label and score. Rows may come in another order.

Each worker loads the model once and takes a batch at a time. If one dies, Ray starts another, which gets
the batch that was lost. An error of another kind ends the run.
"""

import time
from typing import Any

import rich_click as click

import beex_keras as beex
from beex_keras import tables

_ANSWERS = {
    "classification": {"label": "string", "score": "double"},
    "regression": {"value": "double"},
}


def columns(problem_type: str) -> dict[str, str]:
    """Attributes of a model's predictions and of failures, and their types."""
    return {**_ANSWERS[problem_type], "exit": "int32", "truncated": "bool", "error": "string"}


class Classifier:
    """Classifies batches in a worker, with the model that it loads when it starts."""

    def __init__(self, model: str, column: str, prefix: str, num_threads: int) -> None:
        self.classify = beex.pipeline(model, on_error="return", num_threads=num_threads)
        self.columns = columns(self.classify.runner.task.problem_type)
        self.column, self.prefix = column, prefix

    def __call__(self, batch: Any) -> Any:
        """A `pyarrow.Table` with the columns added, null where an answer has no such attribute."""
        import pyarrow as pa

        answers = self.classify(batch[self.column].to_pylist())
        for name, kind in self.columns.items():
            values = [getattr(answer, name, None) for answer in answers]
            batch = batch.append_column(
                self.prefix + name, pa.array(values, pa.type_for_alias(kind))
            )
        return batch


@click.command(help=(__doc__ or "").split("\n")[0])
@click.argument("source", metavar="INPUT")
@click.argument("target", metavar="OUTPUT")
@click.option("--model", required=True, help="A name, or a .beex file that all machines see.")
@click.option("--text-column", default="text", show_default=True)
@click.option("--prefix", default="", help="Begins the names of the columns that are added.")
@click.option("--workers", type=int, help="Processes with a model each; by default for all CPUs.")
@click.option("--num-threads", default=1, show_default=True, help="Threads of a worker.")
@click.option("--batch-size", default=8192, show_default=True, help="Texts that a worker takes.")
def main(
    source: str,
    target: str,
    model: str,
    text_column: str,
    prefix: str,
    workers: int | None,
    num_threads: int,
    batch_size: int,
) -> None:
    import ray
    from pyarrow import dataset

    try:
        # What is wrong with it is better said here than by a worker.
        added = columns(beex.load(model).task.problem_type)
    except beex.BeexError as error:
        raise click.UsageError(str(error)) from None
    names = dataset.dataset(source).schema.names
    if text_column not in names:
        raise click.UsageError(f"There is no column {text_column}, but {', '.join(names)}.")
    for name in {prefix + name for name in added}.intersection(names):
        raise click.UsageError(f"There is a column {name} already; give a --prefix.")
    ray.init()
    workers = workers or max(1, int(ray.cluster_resources()["CPU"] // num_threads))
    start = time.perf_counter()
    rows = ray.data.read_parquet(source).repartition(target_num_rows_per_block=batch_size)
    rows.map_batches(
        Classifier,
        fn_constructor_args=(model, text_column, prefix, num_threads),
        batch_size=batch_size,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=workers),
        # Workers hold their CPUs to the end. With half of what they use they leave the rest to the
        # tasks that read and write, for which they would otherwise wait for ever.
        num_cpus=num_threads / 2,
    ).write_parquet(target, mode=ray.data.SaveMode.ERROR, min_rows_per_file=64 * batch_size)
    seconds = time.perf_counter() - start
    written = dataset.dataset(target)
    errors = written.count_rows(filter=dataset.field(prefix + "error").is_valid())
    row = {"texts": written.count_rows(), "errors": errors, "workers": workers, "seconds": seconds}
    tables.show([{**row, "texts a second": row["texts"] / seconds}], target)


if __name__ == "__main__":
    main()
