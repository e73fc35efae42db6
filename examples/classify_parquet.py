"""Classify a Parquet data set on one machine or a cluster, by Ray Data.

    pip install "ray[data]" "pyarrow<26"
    python examples/classify_parquet.py reviews labelled --model sst2-micro --text-column review

INPUT is a file or a folder of Parquet, OUTPUT a folder that is not there yet; on a cluster all machines
see both. All columns stay, and four are added: the label, its score, the exit taken and, for a text that
cannot be classified, such as an empty one, the error in their place. Texts that are longer than the model
reads are cut. Rows may come in another order.

Each worker loads the model once and takes a batch at a time. If one dies, Ray starts another, which gets
the batch that was lost. An error ends the run.
"""

import time

import pyarrow as pa
import pyarrow.dataset as parquet
import ray
import rich_click as click

import beex_keras as beex
from beex_keras import tables


class Classifier:
    """Classifies batches in a worker, with the model that it loads when it starts."""

    def __init__(self, model: str, column: str, num_threads: int) -> None:
        self.classify = beex.pipeline(model, truncate=True, num_threads=num_threads)
        self.column = column

    def __call__(self, batch: pa.Table) -> pa.Table:
        """The batch with columns "label", "score", "exit" and "error", null where they are not."""
        texts = batch[self.column].to_pylist()
        empty = [not (text and text.strip()) for text in texts]
        found = iter(self.classify([t for t, e in zip(texts, empty, strict=True) if not e]))
        answers = [None if e else next(found) for e in empty]
        columns = {
            "label": pa.array([a and a.label for a in answers], pa.string()),
            "score": pa.array([a and a.score for a in answers], pa.float64()),
            "exit": pa.array([a and a.exit for a in answers], pa.int32()),
            "error": pa.array(["The text is empty." if e else None for e in empty], pa.string()),
        }
        for name, values in columns.items():
            batch = batch.append_column(name, values)
        return batch


@click.command(help=(__doc__ or "").split("\n")[0])
@click.argument("source", metavar="INPUT")
@click.argument("target", metavar="OUTPUT")
@click.option("--model", required=True, help="A .beex file that all machines see, or a name.")
@click.option("--text-column", default="text", show_default=True)
@click.option(
    "--workers", type=int, help="Processes with a model each; by default all CPUs' worth."
)
@click.option("--num-threads", default=1, show_default=True, help="Threads of a worker.")
@click.option("--batch-size", default=8192, show_default=True, help="Texts that a worker takes.")
def main(
    source: str,
    target: str,
    model: str,
    text_column: str,
    workers: int | None,
    num_threads: int,
    batch_size: int,
) -> None:
    ray.init()
    workers = workers or max(1, int(ray.cluster_resources()["CPU"] // num_threads))
    start = time.perf_counter()
    rows = ray.data.read_parquet(source).repartition(target_num_rows_per_block=batch_size)
    rows.map_batches(
        Classifier,
        fn_constructor_args=(model, text_column, num_threads),
        batch_size=batch_size,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=workers),
        # Half of what a worker uses, for it is never given back: the rest is left to the tasks that
        # read and write, for which the workers would wait for ever otherwise.
        num_cpus=num_threads / 2,
    ).write_parquet(target, mode=ray.data.SaveMode.ERROR, min_rows_per_file=64 * batch_size)
    seconds = time.perf_counter() - start
    written = parquet.dataset(target)
    failed = written.count_rows(filter=parquet.field("error").is_valid())
    row = {"texts": written.count_rows(), "errors": failed, "workers": workers, "seconds": seconds}
    tables.show([{**row, "texts a second": row["texts"] / seconds}], target)


if __name__ == "__main__":
    main()
