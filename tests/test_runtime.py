"""Runners: one interface, equal answers, and clear refusals."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from conftest import MODES, built, converted, frozen, random_ids, shake, tiny_config
from larq_compute_engine.tflite.python.interpreter import Interpreter

import beex_keras
from beex_keras import exits, export, runtime
from beex_keras.errors import BeexError
from beex_keras.export.tflite import graphs
from beex_keras.models import BEExformerClassifier
from beex_keras.runtime import ExitOutputs, KerasRunner, LCERunner, Prediction
from beex_keras.runtime.keras_runner import load_classifier
from beex_keras.runtime.predictions import predictions
from beex_keras.tasks import ClassificationTask
from beex_keras.text import SPECIAL_TOKENS, TextPreprocessor

slow = pytest.mark.slow

WORDS = [chr(97 + i) * 3 for i in range(26)] + [chr(97 + i) * 2 for i in range(19)]
VOCABULARY = (*SPECIAL_TOKENS, *WORDS)
LABELS = ("red", "green", "blue", "grey")


@pytest.fixture(scope="module")
def model() -> BEExformerClassifier:
    tf.keras.utils.set_random_seed(1)
    model = BEExformerClassifier(
        tiny_config(num_blocks=2),
        preprocessor=TextPreprocessor(VOCABULARY, 12),
        labels=LABELS,
        policy=exits.Confidence(0.4),
    )
    return shake(model)


@pytest.fixture(scope="module")
def file(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("converted") / "model.tflite"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graphs, "freeze_classifier", frozen)
        export.convert(model, path, exit="all-outputs")
    return path


def sentences(count: int, seed: int = 0) -> list[str]:
    generator = np.random.default_rng(seed)
    return [" ".join(generator.choice(WORDS, generator.integers(1, 11))) for _ in range(count)]


# === Equal answers ===


PAIRS = {"num_segments": 2}


def with_words(model: BEExformerClassifier, patch: pytest.MonkeyPatch) -> BEExformerClassifier:
    """A shared model with all that a file can hold, for one test or one module."""
    patch.setattr(model, "preprocessor", TextPreprocessor(VOCABULARY, 12))
    patch.setattr(model, "labels", LABELS)
    patch.setattr(model, "policy", exits.Confidence(0.4))
    return model


@pytest.mark.parametrize("mode", MODES)
def test_fast_kernel_is_bit_identical(mode):
    data = converted(mode, "all-outputs", **PAIRS)
    ids = random_ids(12, 12)
    fast = LCERunner(data).exit_logits(ids)
    np.testing.assert_array_equal(fast, Interpreter(data).predict(ids))
    np.testing.assert_array_equal(fast, LCERunner(data, num_threads=2).exit_logits(ids))


def test_every_form_of_a_model_loads(model, file, tmp_path):
    model.save_pretrained(tmp_path / "pretrained")
    model.save_pretrained(tmp_path / "run" / "model")
    model.save(tmp_path / "whole.keras")
    texts = sentences(5)
    expected = KerasRunner(model).classify(texts)
    for path in (tmp_path / "pretrained", tmp_path / "run", tmp_path / "whole.keras", file):
        loaded = runtime.load(path)
        assert (loaded.labels, loaded.policy, loaded.config) == (LABELS, model.policy, model.config)
        assert loaded.preprocessor.vocabulary == VOCABULARY
        for a, b in zip(loaded.classify(texts), expected, strict=True):
            assert (a.label, a.exit) == (b.label, b.exit)
            assert a.score == pytest.approx(b.score, abs=1e-5)


def test_ids_of_any_length(file, model):
    lce, keras = runtime.load(file), KerasRunner(model)
    for length in (1, 5, 12):
        ids = random_ids(3, length)
        logits = lce.exit_logits(ids)
        assert logits.dtype == np.float32 and logits.shape == (3, 2, 4)
        np.testing.assert_allclose(logits, keras.exit_logits(ids), rtol=0, atol=1e-5)
    for engine in (lce, keras):
        assert engine.exit_logits(np.zeros((0, 5), np.int32)).shape == (0, 2, 4)
        assert engine.exit_logits(np.zeros((2, 5), np.int64)).shape == (2, 2, 4)


def test_padding_within_a_row_is_no_end_of_it(file, model):
    ids = random_ids(20, 12)
    ids[:, 4] = ids[:, 9:] = 0
    expected = model(ids)
    for engine in (runtime.load(file), KerasRunner(model)):
        np.testing.assert_allclose(engine.exit_logits(ids), expected, rtol=0, atol=1e-5)


def test_file_of_a_shorter_length_cuts_to_it(model, tmp_path, frozen_once):
    export.convert(model, tmp_path / "short.tflite", length=6)
    short = runtime.load(tmp_path / "short.tflite")
    assert (short.length, short.preprocessor.max_length) == (6, 6)
    text = " ".join(WORDS[:9])
    with pytest.raises(BeexError, match="11 tokens"):
        short.classify([text], truncate=False)
    (prediction,) = short.classify([text])
    (expected,) = KerasRunner(model).classify([" ".join(WORDS[:4])])
    assert prediction.score == pytest.approx(expected.score, abs=1e-5)


# === Predictions ===


def test_prediction_is_the_softmax_at_the_exit_taken(file):
    logits = np.log([[1, 2, 4, 1]]).astype(np.float32)
    (prediction,) = predictions(
        ClassificationTask(LABELS), ExitOutputs(logits, np.array([1])), np.array([False])
    )
    assert prediction == Prediction("blue", pytest.approx(0.5), 2, prediction.probabilities)
    assert prediction.probabilities == pytest.approx(
        {"red": 0.125, "green": 0.25, "blue": 0.5, "grey": 0.125}
    )
    assert prediction.to_dict()["exit"] == 2


def test_policy_of_the_file_is_used_unless_another_is_given(file):
    loaded = runtime.load(file)
    texts = sentences(30)
    logits = loaded.exit_logits(loaded.encode(texts))
    own = [prediction.exit for prediction in loaded.classify(texts)]
    assert own == (exits.Confidence(0.4).choose(logits) + 1).tolist()
    assert {p.exit for p in loaded.classify(texts, policy=exits.FixedDepth(2))} == {2}


def test_many_texts_are_taken_in_chunks(file):
    loaded = runtime.load(file)
    texts = sentences(10)
    assert list(runtime.Pipeline(loaded, chunk=3).stream(texts)) == loaded.classify(texts)
    assert loaded.classify([]) == [] and len(loaded.encode([])) == 0


# === Pipeline ===


def test_pipeline_answers_a_text_a_list_and_a_stream(file):
    classify = beex_keras.pipeline(file)
    texts = sentences(40)
    predictions = classify(texts)
    assert [p.label for p in predictions] == [p.label for p in runtime.load(file).classify(texts)]
    assert classify(texts[3]).label == predictions[3].label
    assert list(classify.stream(iter(texts))) == predictions
    assert classify([]) == []


def test_progress_of_a_list_is_shown(file, capsys):
    texts = sentences(20)
    expected = beex_keras.pipeline(file)(texts)
    assert capsys.readouterr().out == ""
    assert beex_keras.pipeline(file, progress=True)(texts) == expected
    assert beex_keras.pipeline(file, progress=True)(iter(texts)) == expected
    assert "Texts" in capsys.readouterr().out


def test_stream_reads_no_further_than_it_must(file):
    read = []

    def endless():
        for text in itertools.cycle(sentences(7)):
            read.append(text)
            yield text

    classify = beex_keras.pipeline(file)
    classify.chunk = 5
    answers = classify.stream(endless())
    first = [next(answers) for _ in range(7)]
    assert len(read) == 10 and first[0] == runtime.load(file).classify(read[:1])[0]


def test_pipeline_of_pairs(tmp_path, frozen_once, monkeypatch):
    model = with_words(built(**PAIRS), monkeypatch)
    export.convert(model, tmp_path / "pairs.tflite")
    classify = beex_keras.pipeline(tmp_path / "pairs.tflite", truncate=True)
    pairs = list(zip(sentences(20), sentences(20, seed=1), strict=True))
    labels = [prediction.label for prediction in classify(pairs)]
    assert labels == [p.label for p in KerasRunner(model).classify(pairs)]
    assert [classify([pair])[0].label for pair in pairs] == labels
    assert [a.label for a in classify([*map(list, pairs)])] == labels  # as JSON has them
    assert [a.label for a in classify.stream(iter(pairs))] == labels


def test_two_strings_are_never_taken_for_a_pair(file, tmp_path, frozen_once, monkeypatch):
    """They may be two texts as well, so a pair stands in a list: [(text, text_pair)]."""
    runner = KerasRunner(with_words(built(**PAIRS), monkeypatch))
    for two in (("aaa", "bbb"), ["aaa", "bbb"]):
        for read in (runner.classify, runner.encode, runtime.Pipeline(runner)):
            with pytest.raises(BeexError, match=r"give a list of \(text, text_pair\) tuples"):
                read(two)
        with pytest.raises(BeexError, match=r"reads pairs.* give a list of \(text, text_pair\)"):
            runner.classifier.predict(two)
    for text in ("aaa", ["aaa"], ["aaa", "bbb", "aaa"]):
        with pytest.raises(BeexError, match="Text 1 is a single one, and the model reads pairs"):
            runtime.Pipeline(runner)(text)
    single = runtime.load(file)
    for read in (single.classify, single.encode, runtime.Pipeline(single)):
        with pytest.raises(
            BeexError, match="A tuple of two strings was given, which may be a pair"
        ):
            read(("aaa", "bbb"))
        with pytest.raises(BeexError, match="Text 1 is a pair, and the model reads single texts"):
            read([("aaa", "bbb")])


def test_errors_count_from_the_first_text(file):
    classify = beex_keras.pipeline(file)
    classify.chunk = 4
    with pytest.raises(BeexError, match="Text 7 is empty"):
        classify([*sentences(6), " "])
    classify.truncate = False
    with pytest.raises(BeexError, match="Text 6 has 47 tokens"):
        classify([*sentences(5), " ".join(WORDS)])


# === Files that exit by themselves ===


def test_a_file_that_exits_has_one_policy(model, frozen_once):
    fixed = LCERunner(export.to_tflite(model))
    texts = sentences(10)
    assert [p.exit for p in fixed.classify(texts, policy=model.policy)] == [
        p.exit for p in KerasRunner(model).classify(texts)
    ]
    with pytest.raises(BeexError, match="exits by itself, by Confidence.* and by no other policy"):
        fixed.classify(texts, policy=exits.Entropy(1.0))
    with pytest.raises(BeexError, match="does not compute the logits of every exit"):
        fixed.exit_logits(random_ids(2, 12))
    adjustable = LCERunner(export.to_tflite(model, threshold_input=True))
    for some in (texts, sentences(30)):
        for policy in (exits.Confidence(0.3), exits.Confidence(0.6)):
            found = [p.exit for p in adjustable.classify(some, policy=policy)]
            assert found == [p.exit for p in KerasRunner(model).classify(some, policy=policy)]
    with pytest.raises(BeexError, match="by no other policy"):
        adjustable.classify(texts, policy=exits.Patience(1))


# === Refusals ===


def test_texts_that_cannot_be_classified(file):
    loaded = runtime.load(file)
    for texts, message in (
        (["aaa", " "], "Text 2 is empty"),
        ([3], "Text 1 is of type int"),
        ("aaa", "one string"),
        ([" ".join(WORDS)], "47 tokens, the model reads 12"),
    ):
        with pytest.raises(BeexError, match=message):
            loaded.classify(texts, truncate=False)
    assert loaded.classify([" ".join(WORDS)])[0].truncated


def test_ids_that_cannot_be_read(file, model):
    for engine in (runtime.load(file), KerasRunner(model)):
        for ids, message in (
            (np.full((1, 4), 50), "Token id 50 is outside the vocabulary of 50"),
            (np.array([[5, -1]]), "Token id -1"),
            (np.zeros((1, 13), np.int32), "13 tokens a row, but the model reads 1 to 12"),
            (np.zeros((1, 0), np.int32), "0 tokens"),
            (np.zeros(4, np.int32), "matrix of whole numbers"),
            (np.zeros((1, 4)), "matrix of whole numbers"),
        ):
            with pytest.raises(BeexError, match=message):
                engine.exit_logits(ids)


def test_text_without_a_vocabulary(tmp_path):
    data = converted(num_blocks=1)
    with pytest.raises(BeexError, match="has no vocabulary"):
        LCERunner(data).classify(["aaa"])


def test_paths_that_hold_no_model(tmp_path, file):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("aaa")
    (tmp_path / "folder.tflite").mkdir()
    for name, message in (
        ("missing", "There is no model at"),
        ("missing.tflite", "There is no model at"),
        ("missing.keras", "There is no model at"),
        ("empty", "not a folder with a Keras model"),
        ("notes.txt", "is not a model; give a .tflite, .beex or .keras file"),
        ("folder.tflite", "not a folder with a Keras model"),
    ):
        with pytest.raises(BeexError, match=message):
            runtime.load(tmp_path / name)
    with pytest.raises(BeexError, match="not a Keras model"):
        load_classifier(file)
    with pytest.raises(BeexError, match="num_threads=0"):
        runtime.load(file, num_threads=0)


@pytest.mark.parametrize("num_threads", [1, 2])
def test_texts_are_taken_in_their_order_whatever_holds_them(num_threads):
    texts = ["a good film", "a boring, awful film", "great and lovely", "bad"]
    # As a shuffled column of a data frame, whose rows keep their numbers.
    column = type(
        "Column",
        (),
        {
            "__iter__": lambda self: iter(texts),
            "__len__": lambda self: len(texts),
            "__getitem__": lambda self, row: texts[[2, 1, 3, 0][row]],
        },
    )
    runner = runtime.load("sst2-micro", num_threads=num_threads)
    expected, ids = runner.classify(texts), runner.encode(texts)
    for held in (column(), tuple(texts), np.array(texts)):
        assert runner.classify(held) == runner.answer(held) == expected
        np.testing.assert_array_equal(runner.encode(held), ids)
    assert runner.classify(text for text in texts) == expected


def test_what_is_no_list_of_texts_is_refused():
    classify = runtime.pipeline("sst2-micro")
    for table in ({"text": ["a", "b"]}, SimpleNamespace(columns=["text"])):
        with pytest.raises(BeexError, match="a table was given; give its column with the texts"):
            classify(table)
    rows = type("Rows", (), {"__getitem__": lambda self, row: ["a good film"][row]})
    assert len(classify(rows())) == 1
    for value in (None, 5):
        with pytest.raises(BeexError, match=f"{value} was given; give a text or a list of texts"):
            classify(value)
    for policy in ("confidence", 0.7):
        with pytest.raises(BeexError, match="is no exit policy; give one, such as"):
            runtime.pipeline("sst2-micro", policy=policy)
    with pytest.raises(BeexError, match="'change' reads the change of a number"):
        runtime.pipeline("sst2-micro", policy=exits.Change())


def test_foreign_and_damaged_tflite_files(file, tmp_path):
    data = file.read_bytes()
    foreign = tf.lite.TFLiteConverter.from_concrete_functions(
        [tf.function(lambda x: x + 1).get_concrete_function(tf.TensorSpec((1, 2)))]
    ).convert()
    spliced = data[: len(data) // 2] + foreign + data[len(data) // 2 :]
    for content, message in (
        (b"", "is empty"),
        (b"just some text, renamed", "not a TFLite model"),
        (np.random.default_rng(0).bytes(5000), "not a TFLite model"),
        (foreign, "not written by `beex convert`"),
        (data[:6], "not a TFLite model"),
        (data[: len(data) // 2], "damaged|not written by"),
        (data[:-1], "damaged|not written by"),
        (data + b"\0", "damaged"),
        (data[:2000] + bytes([data[2000] ^ 1]) + data[2001:], "damaged"),
        (spliced, "damaged"),
    ):
        path = tmp_path / "model.tflite"
        path.write_bytes(content)
        with pytest.raises(BeexError, match=message):
            runtime.load(path)


def test_foreign_and_damaged_keras_files(model, tmp_path):
    path = tmp_path / "model.keras"
    model.save(path)
    data = path.read_bytes()
    for content in (b"", b"text", data[: len(data) // 2]):
        path.write_bytes(content)
        with pytest.raises(BeexError, match=r"not a \.keras file, or it is cut short"):
            runtime.load(path)
    tf.keras.Sequential([tf.keras.layers.Dense(1, input_shape=(2,))]).save(path)
    with pytest.raises(BeexError, match="holds a Sequential; give a"):
        runtime.load(path)
