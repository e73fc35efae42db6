"""Tasks made of the user's data, and the batches that feed them to a model.

Tasks are read without TensorFlow, so that faulty data is reported at once.
"""

from beex_keras import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__, __file__)
