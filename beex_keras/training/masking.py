"""Masked language modelling's inputs and targets."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from beex_keras.data import make_dataset
from beex_keras.errors import BeexError
from beex_keras.text import SPECIAL_TOKENS

CHOSEN = 0.15
"""Share of the tokens that are predicted."""

MASKED, REPLACED = 0.8, 0.1
"""Shares of these that the model sees as [MASK] and as a random token; the rest it sees as it is."""

VALIDATION = -1
"""In place of an epoch: the masks by which epochs are compared, the same in each."""


def share_hidden(
    batch: tuple[Any, ...], number: tf.Tensor, replicas: int, training: bool
) -> tuple[Any, ...]:
    r"""The share of the replica `number` of a batch of `TokenMasking.make_dataset`.

    Rows are shared as by `beex_keras.training.distribution.share_rows`, and with them the hidden
    tokens. The loss is a mean over these: of \(m\) in the batch a replica has \(m_r\), and each of
    them the weight \(m_r R / m\).
    """
    (ids, places), targets = batch
    rows, width = tf.unstack(tf.shape(ids, out_type=tf.int64))
    share = -(-rows // replicas)
    first = tf.cast(number * share * width, tf.int32)
    own = (places >= first) & (places < first + tf.cast(share * width, tf.int32))
    taken = tf.minimum(number * share + tf.range(share), rows - 1)
    inputs = tf.gather(ids, taken), tf.boolean_mask(places, own) - first
    labels = tf.boolean_mask(targets, own)
    if not training:
        return inputs, labels
    weight = tf.cast(tf.size(labels) * replicas, tf.float32) / tf.cast(tf.size(targets), tf.float32)
    return inputs, labels, tf.fill(tf.shape(labels), weight)


class TokenMasking:
    r"""Chooses tokens to predict and hides them.

    Of a row's \(n\) tokens that are not special, \(\max(1, \lfloor 0.15\,n + u \rfloor)\) are chosen
    at random, with \(u\) uniform in \([0, 1)\). Of the chosen, 80 % become [MASK], 10 % a random token
    that is not special, and 10 % stay.

    Args:
        vocabulary: the tokens in the order of their ids, as `check_vocabulary` accepts them.
        seed: of all choices.

    Raises:
        BeexError: the vocabulary lacks [MASK].

    Source: BERT (Devlin et al., NAACL 2019), section 3.1; the rounding is our reading.
    """

    def __init__(self, vocabulary: Sequence[str], seed: int = 0) -> None:
        if "[MASK]" not in vocabulary:
            raise BeexError(
                "The vocabulary lacks [MASK], which pre-training hides tokens by; add it."
            )
        special = np.isin(np.array(vocabulary), SPECIAL_TOKENS)
        self.mask_id = list(vocabulary).index("[MASK]")
        self.seed = seed
        self._is_special = tf.constant(special)
        self._words = tf.constant(np.flatnonzero(~special).astype(np.int32))

    def __call__(self, ids: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Inputs and targets of a batch; the same seed gives the same ones.

        Args:
            ids: int32, (B, T).
            seed: two integers, (2,).

        Returns:
            inputs: int32, (B, T).
            targets: int32, (B, T): the ids of the chosen tokens, and 0 elsewhere.
        """
        seeds = tf.unstack(tf.random.experimental.stateless_split(seed, 4))
        shape = tf.shape(ids)
        may_be_chosen = ~tf.gather(self._is_special, ids)
        number = tf.reduce_sum(tf.cast(may_be_chosen, tf.float32), axis=1)
        wanted = tf.floor(CHOSEN * number + tf.random.stateless_uniform(shape[:1], seeds[0]))
        # A random order in which the tokens that may not be chosen come last.
        scores = tf.random.stateless_uniform(shape, seeds[1]) + tf.cast(~may_be_chosen, tf.float32)
        rank = tf.argsort(tf.argsort(scores, axis=1), axis=1)
        wanted = tf.cast(tf.maximum(wanted, 1.0), tf.int32)
        chosen = (rank < wanted[:, tf.newaxis]) & may_be_chosen

        fate = tf.random.stateless_uniform(shape, seeds[2])
        word = tf.random.stateless_uniform(shape, seeds[3], 0, tf.size(self._words), tf.int32)
        hidden = tf.where(fate < MASKED, self.mask_id, tf.gather(self._words, word))
        inputs = tf.where(chosen & (fate < MASKED + REPLACED), hidden, ids)
        return inputs, tf.where(chosen, ids, 0)

    def usable(self, ids: np.ndarray) -> np.ndarray:
        """Whether a row has a token that may be chosen: bool, (n,)."""
        return ~self._is_special.numpy()[ids].all(axis=1)

    def make_dataset(
        self, ids: np.ndarray, batch_size: int, epoch: int, skip: int = 0
    ) -> tf.data.Dataset:
        """One epoch of batches for a `MaskedLanguageModel`; the same arguments give the same ones.

        Args:
            ids: int32, (n, L), every row `usable`.
            batch_size: rows of a batch.
            epoch: decides the shuffle and the masks; with `VALIDATION`, rows keep their order.
            skip: batches to leave out at the start, to resume an epoch.

        Returns:
            ((ids int32 (b, l), places int32 (m,)), targets int32 (m,)): the m chosen tokens of a
            batch and where they stand in its flattened ids.
        """
        batches = make_dataset(
            ids, np.arange(len(ids)), batch_size=batch_size, training=epoch != VALIDATION,
            seed=self.seed, epoch=max(epoch, 0), skip=skip,
        )  # fmt: skip
        # Its first row tells a batch from the others, whichever were skipped.
        state = np.random.SeedSequence([self.seed, epoch + 1]).generate_state(2)
        base = tf.constant(state.view(np.int32))

        def masked(
            ids: tf.Tensor, rows: tf.Tensor
        ) -> tuple[tuple[tf.Tensor, tf.Tensor], tf.Tensor]:
            inputs, targets = self(ids, tf.random.experimental.stateless_fold_in(base, rows[0]))
            targets = tf.reshape(targets, (-1,))
            places = tf.where(targets > 0)[:, 0]
            return (inputs, tf.cast(places, tf.int32)), tf.gather(targets, places)

        return batches.map(masked, tf.data.AUTOTUNE, deterministic=True).prefetch(tf.data.AUTOTUNE)
