"""TensorFlow with Keras 2, and the libraries on it: the one place that imports them.

Larq is built on Keras 2 (``tf-keras``). What only runs ``.beex`` files imports nothing of this.
"""

import os

from beex_keras.errors import BeexError

try:
    import tf_keras  # noqa: F401  before the others, which would be content with Keras 3

    if os.environ.get("TF_USE_LEGACY_KERAS") != "1":
        raise BeexError(
            "TensorFlow was imported before beex_keras, or told to use Keras 3; import beex_keras "
            "first, or set the environment variable TF_USE_LEGACY_KERAS=1."
        )
    import larq as lq
    import tensorflow as tf
    import tensorflow_text as tf_text
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
    from tensorflow_text.tools.wordpiece_vocab import (
        wordpiece_tokenizer_learner_lib as wordpiece_learner,
    )
except ModuleNotFoundError as error:
    raise BeexError(
        f"This needs TensorFlow, tf-keras, tensorflow-text and Larq, and {error.name} is not "
        "installed; run `pip install 'beex-keras[train]'`."
    ) from None

__all__ = ["convert_variables_to_constants_v2", "lq", "tf", "tf_text", "wordpiece_learner"]
