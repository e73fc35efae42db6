"""The model that a training learns from.

Its logits can always be learned from, if it has the task's labels. Where it has the student's shape and
vocabulary, and as many bits or more, the outputs of its blocks can be learned from too, and it is asked in
each step. Any other is asked once for each text.

A teacher of the same shape is float32, or what came before in an order of steps: of a fully binary model
the weights-only one, which is nearer to what it can do than the float32 one is.

Source: a teacher from the step before as BiT (Liu et al., 2022).
"""

from collections.abc import Sequence

import numpy as np

from beex_keras.backend import tf
from beex_keras.errors import BeexError
from beex_keras.models import BEExformerClassifier
from beex_keras.training.inference import runner_of
from beex_keras.training.transfer import can_start
from beex_keras.training.unlabelled import Answer
from beex_keras.training.warm_starts import ModelStart, WarmStart


def make_teacher(
    model: BEExformerClassifier, source: WarmStart, ids: np.ndarray
) -> BEExformerClassifier:
    """A model of the same shape with the weights of `source`, as precise as those; it drops nothing.

    It only ever predicts, so binary weights are ±1 already and not latent ones.

    Raises:
        BeexError: no model of that shape can start from `source`.
    """
    config = model.config.replace(**source.bits, dropout=0.0, token_dropout=0.0)
    if not isinstance(source, ModelStart) and config.network == "slfn":
        # The gate of an encoder is constant whatever its width, so the narrowest one costs least.
        config = config.replace(gate_width=1)
    source.check(config)
    parts = model.preprocessor, model.labels, None, model.value_scale
    teacher = BEExformerClassifier(config, *parts)
    source.apply(teacher, ids)
    _take_signs(teacher)
    return teacher


def shares_shape(model: BEExformerClassifier, source: WarmStart) -> bool:
    """Whether `make_teacher` can make a teacher of `source`; of a BERT-style encoder it always tries."""
    if not isinstance(source, ModelStart):
        return True
    assert model.preprocessor is not None
    mine = model.preprocessor
    has_tokens = (source.tokens, source.lower_case) == (mine.vocabulary, mine.lower_case)
    has_bits = all(number >= getattr(model.config, name) for name, number in source.bits.items())
    return has_tokens and has_bits and can_start(source.shape, model.config)


def check_answers(model: BEExformerClassifier, source: WarmStart) -> None:
    """Raises `BeexError` unless the teacher can answer the task's texts by the task's labels."""
    if not isinstance(source, ModelStart):
        fix = "train it first, and give its run folder, or teacher='twin'"
        raise BeexError(f"An encoder such as minilm has no answers to learn from; {fix}.")
    teacher = source.source
    if sorted(teacher.labels) != sorted(model.labels):
        both = {*teacher.labels} & {*model.labels}
        only = [", ".join(sorted({*one.labels} - both)[:5]) or "none" for one in (teacher, model)]
        raise BeexError(
            f"The teacher's and the task's labels must be the same; only the teacher has {only[0]}, "
            f"only the task {only[1]}."
        )
    if teacher.config.num_segments != model.config.num_segments:
        kinds = {1: "single texts", 2: "pairs"}
        its, mine = (kinds[one.config.num_segments] for one in (teacher, model))
        raise BeexError(f"The teacher reads {its}, the task has {mine}; give another teacher.")


def answers_of(model: BEExformerClassifier, source: WarmStart) -> Answer:
    """What gives the logits of the teacher's last exit, in the order of the student's labels.

    Of a regression they are its numbers on the student's scale.
    """
    check_answers(model, source)
    assert isinstance(source, ModelStart)
    teacher, runner = source.source, runner_of(source.source)
    order = [teacher.labels.index(label) for label in model.labels]

    def answer(texts: Sequence[str], pairs: Sequence[str] | None) -> np.ndarray:
        logits = runner.exit_logits(runner.encode(list(texts), pairs))[:, -1][:, order]
        if model.value_scale is None:
            return logits
        assert teacher.value_scale is not None
        return model.value_scale.standardize(teacher.value_scale.values(logits))

    return answer


def _take_signs(teacher: BEExformerClassifier) -> None:
    """Once, where a quantizer would in every step."""
    token = teacher.backbone.embedding.token
    if token.table_quantizer is not None:
        token.table.assign(token.table_quantizer(tf.convert_to_tensor(token.table)))
        token.table_quantizer = tf.identity
    for block in teacher.backbone.blocks:
        for linear in block.linears().values():
            if linear.precision.is_binary:
                latent = tf.convert_to_tensor(linear.kernel)
                linear.kernel.assign(linear.matmul.kernel_quantizer(latent))
                linear.set_kernel_quantizer(tf.identity)
