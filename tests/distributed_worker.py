"""Trains the toy task as a worker of a cluster: the processes that test_distribution.py starts.

python distributed_worker.py DATA RUN... [--die]

DATA holds the task's files. The name of the folder RUN is "plain" or "dropout", by the rate. With --die
the process kills itself in the middle of the second epoch.
"""

import os
import signal
import sys
from pathlib import Path

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import tensorflow as tf
from toy import TOY_SIZE, toy_files

from beex_keras import BeexError, BEExformerConfig, TrainingConfig, load_task
from beex_keras.training import Run, make_strategy, train

# No number of replicas divides batches of 7; some latent weights start close to where they are cut.
RECIPE = TrainingConfig(epochs=2, batch_size=7, learning_rate=1e-2)
SIZE = {**TOY_SIZE, "latent_scale": 0.995}
DROPOUT = {"plain": 0.0, "dropout": 0.1}
BLOCKS = {"plain": 2, "dropout": 1}


class Die(tf.keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == (1, 3):
            os.kill(os.getpid(), signal.SIGKILL)


def train_toy(data: Path, run: Path, strategy="none", callbacks=()) -> Run:
    task = load_task(**toy_files(data))
    rate, size = DROPOUT[run.name], {**SIZE, "num_blocks": BLOCKS[run.name]}
    config = BEExformerConfig.preset("micro", **size, dropout=rate, token_dropout=rate)
    return train(
        task,
        run,
        model=config,
        training=RECIPE,
        strategy=strategy,
        callbacks=callbacks,
        checkpoint_seconds=0 if rate else 60,
        verbose=0,
    )


def main(data: str, *runs: str) -> None:
    tf.config.set_visible_devices([], "GPU")
    strategy = make_strategy("multiworker", wait_seconds=1500)
    assert strategy.num_replicas_in_sync == 2
    callbacks = [Die()] if "--die" in runs else []
    for run in runs:
        if run != "--die":
            train_toy(Path(data), Path(run), strategy, callbacks)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except BeexError as error:
        sys.exit(str(error))
