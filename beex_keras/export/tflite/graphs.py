"""The graphs that a classifier is exported as, composed of its frozen parts."""

from collections.abc import Callable
from typing import TypeAlias

from beex_keras.backend import tf
from beex_keras.exits import ExitPolicy, State
from beex_keras.export.tflite.freeze import Parts

Graph: TypeAlias = tf.types.experimental.GenericFunction

TOKEN_IDS = "token_ids"
THRESHOLD = "threshold"
HIDDEN = "hidden"
EXIT_LOGITS = "exit_logits"
LOGITS = "logits"
EXIT_INDEX = "exit_index"


def all_exits(parts: Parts) -> Graph:
    """token_ids int32 (1, T) → exit_logits (1, N, C): every block runs, no control flow."""

    def forward(token_ids: tf.Tensor) -> dict[str, tf.Tensor]:
        x, mask = parts.embed(token_ids), parts.mask(token_ids)
        logits = []
        for block, head in zip(parts.blocks, parts.heads, strict=True):
            x = block(x, mask)
            logits.append(head(x, mask))
        return {EXIT_LOGITS: tf.stack(logits, axis=1, name=EXIT_LOGITS)}

    return _function(forward, _ids(parts))


def first_exit(policy: ExitPolicy, threshold_input: bool = False) -> int:
    """The first exit, counted from 1, at which a graph that exits by itself asks the policy."""
    return 1 if threshold_input else policy.earliest


def self_exiting(parts: Parts, policy: ExitPolicy, threshold_input: bool = False) -> Graph:
    """token_ids int32 (1, T) → logits (1, C) and exit_index int32 (1,), of the exit taken.

    The exit, counted from 0, is the one that `policy` takes. Each block stands in the branch of a
    conditional behind the exit before it, with its weights: a block that the policy does not ask for
    does not run, and one that it can never ask for is not in the graph.

    With `threshold_input` the policy's threshold is a second input, float32 (1,), and no constant.
    """
    number = len(parts.blocks)
    first = first_exit(policy, threshold_input)
    last = (number if threshold_input else policy.deepest(number)) - 1

    def from_block(
        index: int, x: tf.Tensor, mask: tf.Tensor, state: State, threshold: tf.Tensor | None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The outputs of a text that has reached this block."""
        x = parts.blocks[index](x, mask)
        logits = parts.heads[index](x, mask)

        def here() -> tuple[tf.Tensor, tf.Tensor]:
            return logits, tf.constant([index], tf.int32)  # made anew within each branch

        if index == last:
            return here()
        with tf.name_scope(f"exit_{index + 1}/policy/"):
            if index == 0:
                state = policy.initial_state(logits)
            score, state = policy.score(index, logits, state)
            stops = policy.stops(score, threshold)[0]
        if index + 1 < first:
            return from_block(index + 1, x, mask, state, threshold)
        return tf.cond(stops, here, lambda: from_block(index + 1, x, mask, state, threshold))

    def forward(token_ids: tf.Tensor, threshold: tf.Tensor | None = None) -> dict[str, tf.Tensor]:
        x, mask = parts.embed(token_ids), parts.mask(token_ids)
        logits, index = from_block(0, x, mask, (), threshold)
        return {LOGITS: tf.identity(logits), EXIT_INDEX: tf.identity(index)}

    if threshold_input:
        return _function(forward, _ids(parts), tf.TensorSpec((1,), tf.float32, THRESHOLD))
    return _function(lambda token_ids: forward(token_ids), _ids(parts))


def segments(parts: Parts) -> list[Graph]:
    """One graph a block, for a host that decides after each whether to go on.

    The first: token_ids int32 (1, T) → hidden (1, T, D) and logits (1, C). The following take
    hidden beside token_ids, from which they know the padding. The last has no hidden to give.
    """
    last = len(parts.blocks) - 1
    hidden = tf.TensorSpec((1, parts.length, parts.width), tf.float32, HIDDEN)

    def segment(index: int) -> Graph:
        def forward(token_ids: tf.Tensor, hidden: tf.Tensor) -> dict[str, tf.Tensor]:
            mask = parts.mask(token_ids)
            x = parts.blocks[index](hidden, mask)
            outputs = {LOGITS: parts.heads[index](x, mask)}
            return outputs if index == last else {HIDDEN: x, **outputs}

        if index > 0:
            return _function(forward, _ids(parts), hidden)
        return _function(lambda token_ids: forward(token_ids, parts.embed(token_ids)), _ids(parts))

    return [segment(index) for index in range(last + 1)]


def _function(forward: Callable[..., dict[str, tf.Tensor]], *inputs: tf.TensorSpec) -> Graph:
    return tf.function(forward, input_signature=inputs, autograph=False)


def _ids(parts: Parts) -> tf.TensorSpec:
    return tf.TensorSpec((1, parts.length), tf.int32, TOKEN_IDS)
