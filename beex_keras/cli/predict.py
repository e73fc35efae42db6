"""`beex predict`: texts in, labels out."""

import itertools
import json
from typing import Any

import rich_click as click

from beex_keras.cli.options import Decorator, chosen_policy, json_option, policy_options
from beex_keras.cli.terminal import make_record, read_records, show_progress
from beex_keras.errors import BeexError
from beex_keras.files import open_lines


def _count(name: str, default: int, text: str) -> Decorator:
    least_one = click.IntRange(min=1)
    return click.option(name, type=least_one, default=default, show_default=True, help=text)


@click.command()
@click.argument("model", type=click.Path(), required=False)
@click.argument("texts", nargs=-1)
@click.option("--model", "named", metavar="MODEL", help="The model; all arguments are texts then.")
@click.option("--pair", help="Second sentence, for a model of sentence pairs.")
@click.option("--file", "text_file", type=click.Path(), help="Read texts from a file, one a line.")
@click.option("--jsonl", is_flag=True, help="Lines are JSON objects, written with the answer.")
@click.option(
    "--text-column", default="text", show_default=True, help="Field of the text, with --jsonl."
)
@click.option("--pair-column", default="text2", show_default=True, help="Field of the second text.")
@click.option("--truncate", is_flag=True, help="Cut texts that are longer than the model reads.")
@_count("--batch-size", 1024, "Texts read before they are answered; 1 answers each line at once.")
@_count("--threads", 1, "Threads of the interpreter.")
@policy_options
@json_option
def predict(
    model: str | None, texts: tuple[str, ...], pair: str | None, as_json: bool, **options: Any
) -> None:
    """Classify TEXTS with a MODEL: label, score, exit taken.

    MODEL is a run folder, a .keras, .tflite or .beex file, a directory of segments, or the name of a
    model that comes along ('beex models' lists them). Without TEXTS, reads standard input as it
    comes, one text a line; a pair's two sentences stand on one line with a tab between them.
    """
    if options["named"] is not None:
        texts = texts if model is None else (model, *texts)
        model = options["named"]
    elif model is None:
        raise BeexError("Name a MODEL and its texts; 'beex models' lists those that come along.")
    if pair is not None and len(texts) != 1:
        raise BeexError("--pair goes with exactly one text; give pairs as lines with a tab.")
    file, jsonl, count = options["text_file"], options["jsonl"], len(texts) or None
    if file and not texts:
        with open_lines(file, "text file") as lines:
            count = sum(1 for _ in lines)
    from beex_keras import runtime

    runner = runtime.load(model, options["threads"])
    pairs = runner.config.num_segments > 1
    if pair is not None and not pairs:
        raise BeexError("The model reads single texts, not pairs; leave out --pair.")
    columns = (options["text_column"], options["pair_column"]) if jsonl else None
    if pair is None:
        records = read_records(texts, file, columns, pairs)
    else:
        records = iter([make_record(texts[0], pair)])
    first, second, beside = itertools.tee(records, 3)
    predictions = runner.stream(
        (record.text for record in first),
        (record.pair or "" for record in second) if pairs else None,
        policy=chosen_policy(runner.policy, options),
        truncate=options["truncate"],
        chunk=options["batch_size"],
    )
    # Predictions come first: they read as far ahead as they need.
    for prediction, record in zip(show_progress(predictions, count), beside, strict=False):
        if as_json or jsonl:
            values = {**record.values, **prediction.to_dict()}
            click.echo(json.dumps(values, ensure_ascii=False))
        else:
            depth = f"exit {prediction.exit}/{runner.config.num_blocks}"
            click.echo(f"{prediction.label}\t{prediction.score:.4f}\t{depth}\t{record.text}")
