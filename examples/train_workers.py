"""Train one classifier with several workers, by TensorFlow's MultiWorkerMirroredStrategy.

    python examples/train_workers.py reviews.csv -o runs/reviews --set preset=small --set batch_size=128

Every worker runs the same command and finds the others by its environment variable TF_CONFIG. The workers share each
batch. All workers need the data, and must see the run folder under the same path; the first worker writes the run
folder. The same command on all workers continues a training that was interrupted.
"""

import signal

import rich_click as click

import beex_keras as beex  # before TensorFlow, because it selects Keras 2
from beex_keras import fields
from beex_keras.cli.options import assignments


@click.command(help=(__doc__ or "").split("\n")[0])
@click.argument("data")
@click.option("-o", "--output", required=True, help="Write the run to this folder.")
@click.option("--validation", help="Validate on this file; by default some rows are held out.")
@click.option("--test", help="Test on this file; by default some rows are held out.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="Set a field of the TrainingConfig, such as epochs=3; may be repeated.",
)
def main(
    data: str, output: str, validation: str | None, test: str | None, settings: tuple[str, ...]
) -> None:
    import tensorflow as tf

    try:
        overrides = assignments(settings, fields.names(beex.TrainingConfig), {})
        # This call waits for the other workers; TensorFlow must not have computed anything before.
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
        # TensorFlow has replaced the handler of SIGTERM by one that does not end the process.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        run = beex.train(
            data, output, validation=validation, test=test, strategy=strategy, **overrides
        )
    except beex.BeexError as error:
        raise click.ClickException(str(error)) from None
    if strategy.extended.should_checkpoint:
        click.echo(f"{output}: {run.evaluation.score:.4f} on the test split")


if __name__ == "__main__":
    main()
