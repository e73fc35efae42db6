"""`beex predict`: texts in, labels out."""

import itertools
import json

import rich_click as click

from beex_keras.cli.options import chosen_policy, json_option, policy_options
from beex_keras.cli.terminal import make_record, read_records, show_progress
from beex_keras.errors import BeexError
from beex_keras.files import open_lines


@click.command()
@click.argument("model", type=click.Path(), required=False)
@click.argument("texts", nargs=-1)
@click.option("--model", "named", metavar="MODEL", help="The model; all arguments are texts then.")
@click.option("--pair", help="Second sentence, for a model of sentence pairs.")
@click.option("--file", "text_file", type=click.Path(), help="Read texts from a file, one a line.")
@click.option(
    "--jsonl", is_flag=True, help="Lines are JSON objects; they are written back with the answer."
)
@click.option(
    "--text-column", default="text", show_default=True, help="Field of the text, with --jsonl."
)
@click.option("--pair-column", default="text2", show_default=True, help="Field of the second text.")
@click.option("--truncate", is_flag=True, help="Cut texts that are longer than the model reads.")
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=1024,
    show_default=True,
    help="Texts read before their answers are written; 1 answers each line at once.",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Threads of the interpreter.",
)
@policy_options
@json_option
def predict(
    model: str | None,
    texts: tuple[str, ...],
    named: str | None,
    pair: str | None,
    text_file: str | None,
    jsonl: bool,
    text_column: str,
    pair_column: str,
    truncate: bool,
    batch_size: int,
    threads: int,
    policy: str | None,
    threshold: float | None,
    as_json: bool,
) -> None:
    """Classify TEXTS with a MODEL: label, score, exit taken.

    MODEL is a run folder, a .keras, .tflite or .beex file, a directory of segments, or the name of a
    model that comes along ('beex models' lists them). Without TEXTS, reads standard input as it
    comes, one text a line; a pair's two sentences stand on one line with a tab between them.
    """
    if named is not None:
        model, texts = named, (*(() if model is None else (model,)), *texts)
    elif model is None:
        raise BeexError("Name a MODEL and its texts; 'beex models' lists those that come along.")
    if pair is not None and len(texts) != 1:
        raise BeexError("--pair goes with exactly one text; give pairs as lines with a tab.")
    if not texts and text_file:
        with open_lines(text_file, "text file") as file:
            count: int | None = sum(1 for _ in file)
    else:
        count = len(texts) or None
    from beex_keras import runtime

    runner = runtime.load(model, threads)
    pairs = runner.config.num_segments > 1
    if pair is not None and not pairs:
        raise BeexError("The model reads single texts, not pairs; leave out --pair.")
    columns = (text_column, pair_column) if jsonl else None
    if pair is None:
        records = read_records(texts, text_file, columns, pairs)
    else:
        records = iter([make_record(texts[0], pair)])
    first, second, beside = itertools.tee(records, 3)
    predictions = runner.stream(
        (record.text for record in first),
        (record.pair or "" for record in second) if pairs else None,
        policy=chosen_policy(runner.policy, policy, threshold),
        truncate=truncate,
        chunk=batch_size,
    )
    # Predictions come first: they read as far ahead as they need.
    for prediction, record in zip(show_progress(predictions, count), beside, strict=False):
        if as_json or jsonl:
            values = {**record.values, **prediction.to_dict()}
            click.echo(json.dumps(values, ensure_ascii=False))
        else:
            depth = f"exit {prediction.exit}/{runner.config.num_blocks}"
            click.echo(f"{prediction.label}\t{prediction.score:.4f}\t{depth}\t{record.text}")
