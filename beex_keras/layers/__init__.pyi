from .attention import MultiHeadAttention
from .block import BEExformerBlock, ExitHead
from .dropout import Dropout, TokenDropout
from .embedding import BinaryTokenEmbedding, Embedding, PaddingMask
from .feed_forward import FeedForwardNetwork, SelectiveLearnForgetNetwork
from .linear import BinaryLinear
from .normalization import LayerNorm

__all__ = [
    "BEExformerBlock",
    "BinaryLinear",
    "BinaryTokenEmbedding",
    "Dropout",
    "Embedding",
    "ExitHead",
    "FeedForwardNetwork",
    "LayerNorm",
    "MultiHeadAttention",
    "PaddingMask",
    "SelectiveLearnForgetNetwork",
    "TokenDropout",
]
