"""Reads TensorFlow Datasets, and fails at once if there is no network."""

import logging

from beex_keras.errors import BeexError

Row = tuple[list[str], float] | None
"""The texts, and the class or target, of a row; None if it is malformed."""

_HOST = "https://dl.fbaipublicfiles.com"
_TIMEOUT = 10.0  # seconds


def read_tfds(name: str, features: tuple[str, ...], splits: list[str]) -> dict[str, list[Row]]:
    """Reads the texts and label of each row of a data set, by split; downloads it on first use.

    Raises:
        BeexError: tensorflow-datasets is not installed, or the download fails.
    """
    log = logging.getLogger("absl")
    level = log.level
    log.setLevel(logging.ERROR)  # TFDS warns of an empty folder
    try:
        import tensorflow_datasets as tfds

        builder = tfds.builder(name)
        if not builder.is_prepared():
            _require_network()
            builder.download_and_prepare()
        rows: dict[str, list[Row]] = {split: [] for split in splits}
        for split in splits:
            for batch in builder.as_dataset(split=split).batch(4096).as_numpy_iterator():
                columns = (batch[name] for name in (*features, "label"))
                for *texts, label in zip(*columns, strict=True):
                    rows[split].append(([text.decode("utf-8") for text in texts], label.item()))
        return rows
    except ImportError as error:  # TFDS has imports in builder()
        fix = "pip install tensorflow-datasets importlib_resources, or pass --data-dir"
        needs = f"{name} needs tensorflow-datasets, which does not load ({error})"
        raise BeexError(f"{needs}; {fix}.") from None
    except Exception as error:  # of the downloader, a disk or a changed site
        reason = " ".join(str(error).split())[:150] or type(error).__name__
        failed = f"{name} could not be prepared by TensorFlow Datasets ({reason})"
        fix = "download GLUE where there is a network and pass its folder with --data-dir"
        raise BeexError(f"{failed}; {fix}.") from error
    finally:
        log.setLevel(level)


def _require_network() -> None:
    """Raises within seconds where TFDS would retry for minutes."""
    import requests

    try:
        requests.head(_HOST, timeout=_TIMEOUT)
    except requests.RequestException:
        raise ConnectionError(f"{_HOST} cannot be reached") from None
