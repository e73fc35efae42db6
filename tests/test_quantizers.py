import numpy as np
import pytest
import tensorflow as tf

from beex_keras import BeexError, PolynomialSign, quantizers


def polynomial(w: np.ndarray) -> np.ndarray:
    """F(w) of the paper, in float64."""
    inner = np.where(w < 0, 2 * w + w**2, 2 * w - w**2)
    return np.where(w < -1, -1.0, np.where(w >= 1, 1.0, inner))


def test_forward_is_exactly_plus_or_minus_one_and_zero_is_plus():
    x = np.array([-3, -1, -1e-30, -0.0, 0.0, 1e-30, 0.4, 1, 7], np.float32)
    y = PolynomialSign()(tf.constant(x)).numpy()
    assert y.tolist() == [-1, -1, -1, 1, 1, 1, 1, 1, 1]


def test_gradient_is_that_of_the_polynomial():
    w = np.random.default_rng(0).uniform(-2, 2, 1000)
    w = w[np.abs(np.abs(w) - 1) > 1e-4]
    h = 1e-6
    difference = (polynomial(w + h) - polynomial(w - h)) / (2 * h)
    upstream = np.random.default_rng(1).normal(size=w.shape)
    x = tf.constant(w, tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(PolynomialSign(dtype="float64")(x) * upstream)
    np.testing.assert_allclose(tape.gradient(loss, x), difference * upstream, atol=1e-5)


def test_registered_by_alias_and_serializable():
    import larq as lq

    quantizer = lq.quantizers.get("beex_keras>polynomial_sign")
    assert isinstance(quantizer, PolynomialSign)
    assert quantizer.precision == 1
    restored = lq.quantizers.get(lq.quantizers.serialize(quantizer))
    assert isinstance(restored, PolynomialSign)


@pytest.mark.parametrize("name", quantizers.QUANTIZERS)
def test_every_named_quantizer_is_exactly_binary(name):
    y = quantizers.get(name)(tf.constant([-2.0, -0.1, 0.0, 0.1, 2.0])).numpy()
    assert np.abs(y).tolist() == [1, 1, 1, 1, 1]


def test_magnitude_aware_gradient_is_that_of_larq():
    import larq as lq

    w = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    gradients = []
    for quantizer in (quantizers.get("magnitude_aware_sign"), lq.quantizers.MagnitudeAwareSign()):
        x = tf.Variable(w)
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(quantizer(x) * tf.range(15.0)[:, None][:3] * w)
        gradients.append(tape.gradient(loss, x).numpy())
    np.testing.assert_allclose(*gradients, rtol=1e-6)
    assert (gradients[0] == 0).sum() == (np.abs(w) > 1).sum() + 5  # and the row that is not read


def test_unknown_quantizer_names_the_known():
    with pytest.raises(BeexError, match="polynomial_sign"):
        quantizers.get("dorefa")
