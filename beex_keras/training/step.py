r"""The gradient step: all exits learn at once from labels, and from a teacher if there is one.

The loss of a plain training is `SoftRoutingLoss`, \(L\). The paper needs no teacher; with few labels `train` has
one by default. A teacher is for a deep model that starts from real weights: what a block makes of a text can
be held to what the real one makes of it, which every token tells, in every channel, where a label tells
one thing of a text. The loss is then

\[
L + \kappa \, \frac{1}{N} \sum_{i=1}^{N}
\frac{\sum_t \lVert x_{it} - \hat x_{it} \rVert^2}{\sum_t \lVert \hat x_{it} - \bar x_i \rVert^2}
\]

with the outputs \(x_i\) of the student's blocks and \(\hat x_i\) of the teacher's at the real tokens
\(t\) of a batch, \(\bar x_i\) their mean. With `soft_targets` \(s\) the first term is \((1 - s) L + s S\).
\(S\) is the mean over all exits, whatever weights they have in \(L\), of the cross-entropy to the probabilities of
the teacher's last exit; without a teacher, over all exits but the last, to those of the student's own last exit. Of a
regression it is the mean of the squared errors to that exit's number.

A teacher has an answer to every text, so a training need not stay with those that have labels. Texts
without one (`beex_keras.training.unlabelled`) have the teacher's probabilities alone in their targets. In half
of the texts tokens can be replaced by random others (`replace_tokens`). The labels of such texts are unknown
and the teacher's probabilities stand alone in their targets.

Source: hidden states as TinyBERT (Jiao et al., 2020), and texts with other words, which it makes once by
a language model and not anew in every step; exits from the last as Zhang et al. (2019); the error
relative to the variance is our reading.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from beex_keras.backend import tf
from beex_keras.models import BEExformerClassifier
from beex_keras.training.matrix_dtype import matrix_dtype
from beex_keras.training.recipe import TrainingConfig


@contextmanager
def gradient_step(
    model: BEExformerClassifier,
    teacher: BEExformerClassifier | None,
    config: TrainingConfig,
    share: float | None = None,
    all_labelled: bool = True,
) -> Iterator[None]:
    """Returns a context in which `model.fit` takes these steps.

    Args:
        model: the student.
        teacher: that has its shape, if there is one.
        config: the recipe.
        share: of a teacher's probabilities in the targets of texts with a label; that of `config` if None.
        all_labelled: whether all texts have a label; of those without one the teacher's probabilities
            stand alone in their targets. Batches of ids and labels have a third part where the teacher
            has answered before, its logits (b, C).
    """
    share = config.soft_targets if share is None else share
    soft_targets = bool(share or config.replaced_tokens or not all_labelled)
    student, taught = model, None
    if teacher is not None:
        student, taught = _with_hidden(model), _with_hidden(teacher)

    def train_step(data: Any) -> dict[str, tf.Tensor]:
        ids, labels, weights = tf.keras.utils.unpack_x_y_sample_weight(data)
        answers = None
        if soft_targets and teacher is None:
            answers, weights = weights, None
        if not all_labelled:
            labels, weights = labelled_rows(labels)
        if config.replaced_tokens:
            seed = tf.stack([config.seed, tf.cast(model.optimizer.iterations, tf.int32)])
            separator, most = model.config.separator_id, config.replaced_tokens
            ids, replaced = replace_tokens(ids, separator, most, seed)
            # Nobody has labelled such a text: only the teacher knows what it says.
            kept = tf.cast(~replaced, tf.float32)
            weights = kept if weights is None else weights * kept
        of_teacher = share if weights is None else 1 - weights * (1 - share)
        # Without dropout there is no difference, but in the precision of the products.
        known = None if taught is None else taught(ids, training=True)
        with tf.GradientTape() as tape:
            outputs = student(ids, training=True)
            *hidden, logits = [outputs] if taught is None else outputs
            loss = model.compute_loss(ids, labels, logits, weights)
            if soft_targets:
                if known is not None:
                    answers = known[-1][:, -1]
                own = tf.stop_gradient(logits[:, -1])
                soft = _soft_loss(logits, own if answers is None else answers)
                if answers is None:  # the last exit has nobody to learn from but the labels
                    soft = soft[:, :-1]
                soft = tf.reduce_mean(soft, axis=1)
                loss = (1 - share) * loss + tf.reduce_mean(of_teacher * soft)
            if known is not None:
                mask = model.backbone.padding_mask(ids)
                loss += config.hidden_weight * hidden_error(hidden, known[:-1], mask)
        model.optimizer.minimize(loss, model.trainable_variables, tape)
        return model.compute_metrics(ids, labels, logits, weights)

    model.train_step = train_step
    try:
        with nullcontext() if teacher is None else matrix_dtype(teacher, config.precision):
            yield
    finally:
        del model.train_step
        model.train_function = None


def labelled_rows(labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Labels (b,) with a zero where there is none, see `no_label`, and 1.0 where there is one, (b,)."""
    known = ~tf.math.is_nan(labels) if labels.dtype.is_floating else labels >= 0
    return tf.where(known, labels, tf.zeros_like(labels)), tf.cast(known, tf.float32)


def replace_tokens(
    ids: tf.Tensor, separator_id: int, most: float, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    r"""Half of a batch's texts with other words: tokens take the place of others in the batch.

    Of a text every token is replaced with probability \(\max(0, u)\), \(u\) uniform in
    \([-r, r)\), by one drawn from all tokens of the batch, so as often as it comes in the data. The
    first token of a row, separators and padding stay.

    Takes ids int32 (B, T), the id of [SEP], \(r\) and two integers, (2,), by which the result is
    random. Returns other ids, and which of the texts may have changed, (B,).
    """
    rates, draws, order = tf.unstack(tf.random.experimental.stateless_split(seed, 3))
    shape = tf.shape(ids)
    places = tf.where((ids != 0) & (ids != separator_id) & (tf.range(shape[1]) > 0))
    words = tf.gather_nd(ids, places)
    drawn = tf.random.stateless_uniform(tf.shape(words), order, 0, tf.size(words), tf.int32)
    others = tf.scatter_nd(places, tf.gather(words, drawn), tf.cast(shape, tf.int64))
    rate = tf.random.stateless_uniform((shape[0],), rates, -most, most)
    chosen = tf.random.stateless_uniform(shape, draws) < rate[:, tf.newaxis]
    return tf.where(chosen & (others != 0), others, ids), rate > 0


def hidden_error(hidden: list[tf.Tensor], known: list[tf.Tensor], mask: tf.Tensor) -> tf.Tensor:
    r"""\(\frac{1}{N} \sum_i\) of the squared error, relative to the teacher's variance.

    Of the outputs of the student's and the teacher's blocks, N of (B, T, D), at real tokens (B, T).
    """
    real = tf.cast(mask, tf.float32)[..., tf.newaxis]
    count = tf.reduce_sum(real)
    errors = []
    for mine, its in zip(hidden, known, strict=True):
        mean = tf.reduce_sum(real * its, axis=(0, 1)) / count
        variance = tf.reduce_sum(real * (its - mean) ** 2)
        errors.append(tf.reduce_sum(real * (mine - its) ** 2) / variance)
    return tf.add_n(errors) / len(errors)


def _soft_loss(logits: tf.Tensor, known: tf.Tensor) -> tf.Tensor:
    """The loss of every exit against the logits `known` (B, C) of a teacher: (B, N).

    This is the cross-entropy to the teacher's probabilities, or a regression's squared error to its answer.
    """
    if logits.shape[-1] == 1:
        return tf.math.squared_difference(logits, known[:, tf.newaxis])[:, :, 0]
    target = tf.nn.softmax(known)[:, tf.newaxis]
    return -tf.reduce_sum(target * tf.nn.log_softmax(logits), axis=-1)


def _with_hidden(model: BEExformerClassifier) -> tf.keras.Model:
    """The same model with the outputs of its blocks before the logits."""
    return tf.keras.Model(model.input, [*(head.input for head in model.heads), model.output])
