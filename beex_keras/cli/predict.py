"""`beex predict`: texts in, labels out."""

import itertools
import json
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import rich_click as click

from beex_keras.cli.options import Decorator, chosen_policy, json_option, policy_options
from beex_keras.cli.terminal import (
    Record,
    is_progress_shown,
    make_record,
    read_records,
    show_progress,
)
from beex_keras.errors import BeexError
from beex_keras.files import open_lines

if TYPE_CHECKING:
    from beex_keras.runtime import Answer


def _count(name: str, default: int | None, text: str) -> Decorator:
    shown, least_one = default is not None, click.IntRange(min=1)
    return click.option(name, type=least_one, default=default, show_default=shown, help=text)


@click.command()
@click.argument("model", type=click.Path(), required=False)
@click.argument("texts", nargs=-1)
@click.option(
    "--model", "named", metavar="MODEL", help="Name the model here; all arguments are then texts."
)
@click.option("--pair", help="Give the second text, if the model reads pairs.")
@click.option("--file", "text_file", type=click.Path(), help="Read texts from a file, one a line.")
@click.option(
    "--jsonl",
    is_flag=True,
    help="Read JSON objects, and add the answer to each. Its fields replace those of the same name.",
)
@click.option(
    "--text-column",
    default="text",
    show_default=True,
    help="With --jsonl, name the field that holds the text.",
)
@click.option(
    "--pair-column",
    default="text2",
    show_default=True,
    help="With --jsonl, name the field that holds the second text.",
)
@click.option(
    "--no-truncate",
    is_flag=True,
    help="Report texts that are longer than the model reads as errors, instead of cutting them.",
)
@click.option(
    "--on-error",
    type=click.Choice(["return", "raise"]),
    default="return",
    show_default=True,
    help="If a text cannot be classified, write an error in its place (return), or stop (raise).",
)
@_count(
    "--top-k",
    None,
    "With --json or --jsonl, print this many of the largest probabilities; the default is all.",
)
@_count("--batch-size", 1024, "Read this many texts before answering; 1 answers each line at once.")
@_count("--threads", 1, "Compute with this many threads.")
@policy_options
@json_option
def predict(
    model: str | None, texts: tuple[str, ...], pair: str | None, as_json: bool, **options: Any
) -> int:
    """Classify TEXTS with a MODEL.

    The command prints the label, its score and the exit taken. A regression prints its value in place
    of label and score.

    MODEL is a run folder, a .keras, .tflite or .beex file, or the name of a packaged model
    ('beex models' lists them). Without TEXTS, the command reads standard input, one text a line. A line
    for a model of pairs holds both texts with a tab between them.

    If a text cannot be classified, an error stands in its place, and the exit code is 1.
    """
    if options["named"] is not None:
        texts = texts if model is None else (model, *texts)
        model = options["named"]
    elif model is None:
        raise BeexError(
            "There is no MODEL; name one and its texts ('beex models' lists packaged models)."
        )
    if pair is not None and len(texts) != 1:
        raise BeexError("--pair goes with exactly one text; give pairs as lines with a tab.")
    if texts and options["text_file"]:
        raise BeexError("Give texts either as arguments or by --file, not both.")
    if len(texts) == 1 and pair is None and os.path.isfile(texts[0]):
        raise BeexError(f"{texts[0]} is a file; add --file in front of it to classify its lines.")
    _check_form(options["text_file"], options["jsonl"])
    from beex_keras import runtime
    from beex_keras.runtime.predictions import answer_fields

    runner = runtime.load(model, options["threads"])
    _check_columns(options["text_file"], runner.reads_pairs)
    if pair is not None and not runner.reads_pairs:
        raise BeexError("The model reads single texts, not pairs; leave out --pair.")
    classify = runtime.Pipeline(
        runner,
        policy=chosen_policy(runner.policy, options),
        truncate=not options["no_truncate"],
        on_error=options["on_error"],
        top_k=options["top_k"],
        chunk=options["batch_size"],
    )
    answered = answer_fields(runner.task)
    first, beside = itertools.tee(_records(texts, pair, runner.reads_pairs, options))
    answers = classify.stream(record.item for record in first)
    count = len(texts) or _count_lines(options["text_file"])
    done = failed = 0
    # Answers come first: they read as far ahead as they need.
    for answer, record in zip(show_progress(answers, count), beside, strict=False):
        done += 1
        failed += isinstance(answer, runtime.Failure)
        if as_json or options["jsonl"]:
            # A field that came with the text must not pass for an answer.
            own = {name: value for name, value in record.values.items() if name not in answered}
            values = {**own, **answer.to_dict()}
            click.echo(json.dumps(values, ensure_ascii=False))
        else:
            click.echo(_line(answer, record, runner.config.num_blocks))
    if failed:
        click.echo(f"error: {failed:,} of {done:,} texts could not be classified.", err=True)
    return int(failed > 0)


def _records(
    texts: tuple[str, ...], pair: str | None, pairs: bool, options: dict[str, Any]
) -> Iterator[Record]:
    if pair is not None:
        return iter([make_record(texts[0], pair)])
    columns = (options["text_column"], options["pair_column"]) if options["jsonl"] else None
    return read_records(texts, options["text_file"], columns, pairs)


def _check_form(file: str | None, jsonl: bool) -> None:
    """Refuses a file whose suffix says that its lines are not texts."""
    suffix = os.path.splitext(file or "")[1].lower()
    if suffix == ".csv":
        raise BeexError(
            f"{file} is a CSV file; give a text on each line, or JSON lines by --jsonl."
        )
    if suffix in (".json", ".jsonl") and not jsonl:
        raise BeexError(f"{file} has JSON lines; add --jsonl.")


def _check_columns(file: str | None, pairs: bool) -> None:
    """Refuses a file of tab-separated columns where the model reads single texts."""
    if os.path.splitext(file or "")[1].lower() == ".tsv" and not pairs:
        raise BeexError(
            f"{file} is a TSV file; give a text on each line, or JSON lines by --jsonl."
        )


def _count_lines(file: str | None) -> int | None:
    """How many there will be, for a progress bar that is shown."""
    if file is None or not is_progress_shown() or not os.path.isfile(file):
        return None  # a pipe can be read only once
    with open_lines(file, "text file") as lines:
        return sum(1 for _ in lines)


def _line(answer: "Answer", record: Record, num_blocks: int) -> str:
    from beex_keras.runtime import Failure, ValuePrediction

    if isinstance(answer, Failure):
        return f"error\t\t\t{answer.error}"
    depth = f"exit {answer.exit}/{num_blocks}{', truncated' if answer.truncated else ''}"
    if isinstance(answer, ValuePrediction):
        return f"{answer.value:.4f}\t\t{depth}\t{record.values['text']}"
    return f"{answer.label}\t{answer.score:.4f}\t{depth}\t{record.values['text']}"
