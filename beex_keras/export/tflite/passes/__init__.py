"""Passes: each changes a parsed file in place and knows nothing of the others; here is their order."""

from typing import Any

from beex_keras.export.tflite.passes import fixed_point, fuse, one_bit, tidy


def apply(model: Any, is_binary: bool) -> None:
    """Applies every pass but `naming`, which needs to know the binary matrices.

    Constants of a model without any binary matrix, such as a float32 twin, stay float32.
    """
    tidy.remove_barriers(model)
    tidy.unfold_gelu(model)
    fuse.fuse(model)
    one_bit.pack_tables(model)
    one_bit.pack_kernels(model)
    if is_binary:
        fixed_point.pack_reals(model)
    tidy.use_select_v2(model)
    tidy.share_buffers(model)
    tidy.drop_empty_quantization(model)
