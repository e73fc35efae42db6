"""Keras layers of the BEExformer; each is binarized or real by its arguments."""

from beex_keras.layers.attention import MultiHeadAttention
from beex_keras.layers.block import BEExformerBlock
from beex_keras.layers.dropout import Dropout, TokenDropout
from beex_keras.layers.embedding import BinaryTokenEmbedding, Embedding, PaddingMask
from beex_keras.layers.exit_head import ExitHead
from beex_keras.layers.ffn import FeedForwardNetwork
from beex_keras.layers.linear import BinaryLinear
from beex_keras.layers.normalization import LayerNorm
from beex_keras.layers.slfn import SelectiveLearnForgetNetwork

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
