"""`beex pretrain`: from texts without labels to a run folder with an encoder."""

from typing import Any

import click

from beex_keras.cli.options import (
    RUN_SETTINGS,
    chosen_layers,
    chosen_model,
    chosen_strategy,
    given,
    json_option,
    model_options,
    run_arguments,
    run_options,
    start_options,
    strategy_options,
)
from beex_keras.cli.terminal import print_figures
from beex_keras.errors import BeexError


@click.command()
@click.option("--text", "files", type=click.Path(), multiple=True,
              help="A .txt with one text a line, or a .jsonl, .csv or .tsv; may be repeated.")  # fmt: skip
@click.option("--text-column", default="text", show_default=True, help="Of all that are not .txt.")
@click.option("--task", help="Instead of --text: the training split of a named task.")
@click.option(
    "--data-dir", type=click.Path(), help="Folder of the task's data, as for 'beex train'."
)
@model_options
@click.option("--loss", type=click.Choice(["last", "uniform", "linear"]),
              help="Which blocks predict: the last alone, or all, weighted so.")  # fmt: skip
@click.option("--held-out", type=float, help="Share of the texts for validation, 0.05 by default.")
@click.option("--init", type=click.Path(),
              help="Learn to compute what this does, with fewer bits, instead of finding hidden "
              "tokens: 'minilm', a folder of a BERT-style encoder, a run or a model.")  # fmt: skip
@start_options
@click.option("--pairs", is_flag=True, default=None,
              help="Read each text beside its neighbour too, for classifiers of pairs.")  # fmt: skip
@run_options
@strategy_options
@json_option
def pretrain(**options: Any) -> None:
    """Train an encoder on texts without labels; 'beex train --init' starts from it.

    It learns to find hidden tokens (masked language modelling) or, with --init, to compute in
    fewer bits what a real encoder does. The same command continues a pre-training that was
    interrupted.
    """
    _check(options)
    if options["init"]:
        _imitate(options)
        return
    from beex_keras.training.config import PretrainingConfig

    # Masks hide tokens already.
    model_config = chosen_model(options, dropout=0.1, token_dropout=0.0)
    config = PretrainingConfig(
        **given(options, *RUN_SETTINGS, "loss", "pieces", "held_out"),
    )
    strategy = chosen_strategy(options)
    texts = _texts(options)

    from beex_keras.evaluation import plots
    from beex_keras.training import pretrain as run_pretraining
    from beex_keras.training.distribution import is_chief

    run = run_pretraining(
        texts, model_config, config, options["output"], strategy=strategy, **run_arguments(options)
    )
    if is_chief(strategy):
        plots.save_pretraining_figure(run)
    figures = {"run": options["output"], **run.results}
    print_figures(figures, options["as_json"], lambda: [run.results], "Texts held out")


def _imitate(options: dict[str, Any]) -> None:
    from beex_keras.training.config import ImitationConfig

    # What a text has lost cannot be given back.
    model_config = chosen_model(options, dropout=0.0, token_dropout=0.0)
    names = (*RUN_SETTINGS, "anneal", "pairs", "precision", "held_out")
    config = ImitationConfig(**given(options, *names))
    texts = _texts(options)

    from beex_keras.evaluation import plots
    from beex_keras.starts import initial
    from beex_keras.training import imitate

    arguments = run_arguments(options)
    del arguments["vocabulary"]
    init = initial(options["init"], chosen_layers(options))
    run = imitate(texts, model_config, config, options["output"], init, **arguments)
    plots.save_pretraining_figure(run)
    figures = {"run": options["output"], **run.results}
    print_figures(figures, options["as_json"], lambda: [run.results], "Texts held out")


_WITH_INIT = ("init_layers", "anneal", "pairs", "precision")
_WITHOUT_INIT = ("loss", "vocabulary_file", "pieces")


def _check(options: dict[str, Any]) -> None:
    for name in _WITHOUT_INIT if options["init"] else _WITH_INIT:
        if options[name] is not None:
            option = f"--{name.replace('_', '-')}"
            raise BeexError(
                f"{option} does not go with --init; leave it out."
                if options["init"]
                else f"{option} goes with --init; leave it out, or give both."
            )
    if options["init"] and options["strategy"] != "none":
        raise BeexError("--init needs one replica; leave out --strategy.")


def _texts(options: dict[str, Any]) -> list[str]:
    from beex_keras.data.corpus import read_corpus, task_corpus

    if bool(options["files"]) == bool(options["task"]):
        raise BeexError("Give the texts either as files by --text or as a task by --task.")
    if options["task"] == "files":
        raise BeexError("Name your own files by --text; --task is for named tasks.")
    if options["files"]:
        if options["data_dir"]:
            raise BeexError("--data-dir goes with --task; leave it out beside --text.")
        return read_corpus(options["files"], options["text_column"])
    from beex_keras.data import load_task

    return task_corpus(load_task(options["task"], data_dir=options["data_dir"]))
