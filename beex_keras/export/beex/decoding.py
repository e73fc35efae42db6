"""From a file back to the Keras classifier.

A file holds the signs of the latent weights and not how far each is from a flip: they come back as
far from it as a new model's are on average. What the model computes is the same.
"""

import numpy as np

from beex_keras.errors import BeexError
from beex_keras.export.beex.header import architecture, read_header
from beex_keras.export.beex.parts import Reader
from beex_keras.export.beex.reading import read
from beex_keras.export.beex.weights import read_weights
from beex_keras.models import BEExformerClassifier


def classifier(data: bytes, source: str = "The model") -> BEExformerClassifier:
    """The classifier that a file was made of; converted again it gives the same file.

    It reads as many tokens as the file does; errors call the file `source`.

    Raises:
        BeexError: the file is not ours or damaged, or holds weights of 8 bits or such as are not
            finite or too large.

    Example:
        >>> data = beex.pretrained.find("sst2-micro").read_bytes()
        >>> beex.export.beex.classifier(data).labels
        ('negative', 'positive')
    """
    metadata = read(data, source)
    header = read_header(data)
    if 8 in (header["weight_bits"], header["embedding_bits"]):
        problem = "holds weights of 8 bits, which a Keras model has not"
        raise BeexError(f"{source} {problem}; give the run folder that it was converted from.")
    config = metadata.config.replace(max_length=metadata.length)
    wanted = architecture(config, metadata.length)
    parts = metadata.preprocessor, metadata.labels, metadata.policy, metadata.value_scale
    model = BEExformerClassifier(config, *parts)
    try:
        if any(header[name] != np.float32(wanted[name]) for name in header.keys() & wanted.keys()):
            raise ValueError("The header is not that of the configuration.")
        read_weights(Reader(data, header["weights"], source), model)
    except BeexError:
        raise
    except ValueError as error:  # it also ends before its weights do
        raise BeexError(f"{source} contradicts itself; convert the model again.") from error
    return model
