"""`beex train`: from a task to a run folder."""

from collections.abc import Mapping
from typing import Any

import click

from beex_keras.cli.options import (
    POLICIES,
    RUN_SETTINGS,
    chosen_layers,
    chosen_model,
    chosen_strategy,
    chosen_task,
    data_options,
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

_SETTINGS = (
    "anneal",
    "head_rate",
    "layer_decay",
    "hidden_weight",
    "soft_targets",
    "replaced_tokens",
    "precision",
)


START_SETTINGS = {
    "init_layers": "init",
    "anneal": "init",
    "hidden_weight": "teacher",
    "replaced_tokens": "teacher",
}
"""Options that mean nothing without another one."""


@click.command()
@data_options
@model_options
@click.option("--init", type=click.Path(),
              help="What to start from: 'minilm', a folder of a BERT-style encoder, the run folder of "
              "a 'beex train', a .keras or .beex file, or the name of a packaged "
              "model. Two epochs by default, unless a binary model goes on from one with as many bits.")  # fmt: skip
@start_options
@click.option("--head-rate", type=float, help="Factor of the exits' learning rate.")
@click.option("--layer-decay", type=float,
              help="Factor of a block's learning rate to that of the next.")  # fmt: skip
@click.option("--teacher", type=click.Path(),
              help="Learn from it beside the labels: as for --init, with as many bits or more.")  # fmt: skip
@click.option("--hidden-weight", type=float,
              help="Weight of the error of the blocks' outputs against the teacher's.")  # fmt: skip
@click.option("--soft-targets", type=float,
              help="Share of the teacher's probabilities, or of the last exit's, in the targets.")  # fmt: skip
@click.option("--replaced-tokens", type=float,
              help="Highest probability of a token to be replaced by a random one, in half of the texts, "
              "which then learn from the teacher alone.")  # fmt: skip
@click.option("--loss", type=click.Choice(["uniform", "linear", "routed", "last"]),
              help="How the exits' losses are weighted.")  # fmt: skip
@click.option("--policy", type=click.Choice(POLICIES), help="Exit policy to calibrate.")
@click.option("--margin", type=float,
              help="Standard errors of that accuracy to allow for, when validation texts are few; "
              "also in the choice of the epoch.")  # fmt: skip
@click.option("--tolerance", type=float, help="Accuracy that early exit may cost, such as 0.005.")
@run_options
@strategy_options
@json_option
def train(**options: Any) -> None:
    """Train a classifier into a run folder; calibrate its exit and test it.

    The same command continues a training that was interrupted.
    """
    from beex_keras.training.config import TrainingConfig

    _check_start(options)
    model_config = chosen_model(options)
    settings = given(
        options, *RUN_SETTINGS, *_SETTINGS, "loss", "policy", "tolerance", "margin", "pieces"
    )
    training_config = TrainingConfig(**settings)  # before anything is read, so that faults show
    strategy = chosen_strategy(options)
    task = chosen_task(options)

    from beex_keras.evaluation import plots
    from beex_keras.starts import initial, is_donor
    from beex_keras.training import train as run_recipe
    from beex_keras.training.distribution import is_chief

    layers = chosen_layers(options)
    # A model of ours has its own blocks; of a donor both take the same layers.
    of_teacher = layers if options["teacher"] and is_donor(options["teacher"]) else None
    init = initial(options["init"], layers) if options["init"] else None
    if init and starts_warm(is_donor(options["init"]), init.bits, model_config.to_dict()):
        training_config = TrainingConfig.warm(model_config.weight_bits == 1, **settings)
    run = run_recipe(
        task,
        model_config,
        training_config,
        options["output"],
        init=init,
        teacher=initial(options["teacher"], of_teacher) if options["teacher"] else None,
        strategy=strategy,
        **run_arguments(options),
    )
    if is_chief(strategy):
        plots.save_run_figures(run)
    figures = {
        "run": options["output"],
        "calibration": run.calibration.to_dict(),
        "test": run.evaluation.to_dict(),
    }
    print_figures(figures, options["as_json"], run.evaluation.rows, "Test split")


def starts_warm(donor: bool, bits: Mapping[str, int], model: Mapping[str, Any]) -> bool:
    """Whether `TrainingConfig.warm` has the defaults for a start.

    So it is where real weights have something to lose; only a binary model that goes on from a
    binary one learns as from chance.

    Args:
        donor: whether it is a BERT-style encoder.
        bits: of its parts, by their names in `model`.
        model: the settings of the model to train.
    """
    if donor or model["weight_bits"] == 32:
        return True
    return any(number > model[name] for name, number in bits.items())


def _check_start(options: dict[str, Any]) -> None:
    for name, needed in START_SETTINGS.items():
        if options[name] is not None and options[needed] is None:
            raise BeexError(
                f"--{name.replace('_', '-')} goes with --{needed}; leave it out, or give both."
            )
