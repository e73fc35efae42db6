"""Teachers of any shape, and texts that only they answer."""

import json
import re
import warnings

import numpy as np
import pytest
import tensorflow as tf
from conftest import needs_engine, random_ids, tiny_config
from gradients import Recorder, softmax
from interrupted import Interrupt, same_weights
from toy import TOY_SIZE, toy_rows, write_toy_files

import beex_keras as beex
from beex_keras import BeexError, SoftRoutingLoss, TrainingConfig
from beex_keras.data import Split, Task, make_dataset
from beex_keras.data.unlabelled import encode_texts
from beex_keras.metrics import exit_metrics
from beex_keras.models import BEExformerClassifier
from beex_keras.runtime import KerasRunner
from beex_keras.text import TextPreprocessor
from beex_keras.training import Distiller, train, warm_start
from beex_keras.training.warm_starts import teacher_logits

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c", "d"]


# === The step ===


def test_texts_without_a_label_learn_from_the_answers_alone():
    tf.keras.utils.set_random_seed(1)
    student = BEExformerClassifier(tiny_config(dropout=0.0, token_dropout=0.0))
    ids, labels = random_ids(6, 9), np.array([0, -1, 2, -1, -1, 3], np.int32)
    answers = np.random.default_rng(2).normal(size=(6, 4)).astype(np.float32)
    distiller = Distiller(student, distillation_alpha=0.3)
    metrics = exit_metrics(3, student.policy)
    distiller.compile(Recorder(), SoftRoutingLoss(), weighted_metrics=metrics)
    targets = {"labels": tf.constant(labels), "teacher_logits": tf.constant(answers)}
    found = distiller.train_step((tf.constant(ids), targets))
    target = softmax(answers.astype(np.float64))
    known = labels >= 0
    target[known] = 0.7 * np.eye(4)[labels[known]] + 0.3 * target[known]
    difference = softmax(student(ids).numpy().astype(np.float64)) - target[:, None]
    names = [weight.name for weight in student.trainable_variables]
    gradients = dict(zip(names, distiller.optimizer.gradients, strict=True))
    for number in range(3):
        bias = gradients[f"exit_{number + 1}/logits/bias:0"]
        np.testing.assert_allclose(bias, difference[:, number].mean(axis=0) / 3, atol=1e-6)
    # Accuracy is of what has a label.
    right = student(ids).numpy()[known].argmax(axis=2) == labels[known, None]
    accuracies = [float(found[f"exit_{number}"]) for number in (1, 2, 3)]
    np.testing.assert_allclose(accuracies, right.mean(axis=0))


# === Files ===


def test_rows_of_a_file_make_the_batches_of_an_array(tmp_path):
    ids = random_ids(300, 11, seed=4).astype(np.uint16)
    labels = np.arange(300)
    answers = np.random.default_rng(1).normal(size=(300, 3)).astype(np.float16)
    ids.tofile(tmp_path / "ids")
    answers.tofile(tmp_path / "answers")
    files = (
        np.memmap(tmp_path / "ids", np.uint16, "r", shape=(300, 11)),
        np.memmap(tmp_path / "answers", np.float16, "r", shape=(300, 3)),
    )
    options = {"batch_size": 7, "training": True, "seed": 3}

    def batches(ids, answers):
        return make_dataset(ids, {"labels": labels, "teacher_logits": answers}, **options)

    expected = batches(ids.astype(np.int32), answers.astype(np.float32))
    count = 0
    for batch, other in zip(expected, batches(*files), strict=True):
        for mine, its in zip(*map(tf.nest.flatten, (batch, other)), strict=True):
            np.testing.assert_array_equal(mine, its)
            assert mine.dtype == its.dtype
        count += 1
    assert count == 43


def written(folder, lines, pairs=False, answer=None):
    """The texts of a folder and the warnings, of two labelled texts and the lines of a file."""
    file = folder / "more.txt"
    file.write_bytes(b"\n".join(lines) + b"\n")
    both = ["c", "d"] if pairs else None
    own = Split(["a", "b"], both, np.array([1, 0], np.int32))
    held_out = Split(["d"], ["d"] if pairs else None, np.array([0], np.int32))
    task = Task("own", ("no", "yes"), own, held_out, held_out, "accuracy", "")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        preprocessor = TextPreprocessor(WORDS, 8)
        found = encode_texts(folder, task, own.labels, [file], preprocessor, answer)
    return found, [str(warning.message) for warning in said]


def test_new_texts_follow_those_with_labels(tmp_path):
    lines = [b"\xef\xbb\xbfa", b" D", b"a b", b"", b"\xff", b"c c c"]  # known, known, empty, faulty
    texts, said = written(tmp_path, lines)
    expected = TextPreprocessor(WORDS, 8).encode(["a", "b", "a b", "c c c"])
    np.testing.assert_array_equal(texts.ids, expected)
    assert texts.targets.tolist() == [1, 0, -1, -1] and texts.targets.dtype == np.int32
    assert said == [
        f"2 lines of unlabelled text are left out; the first is line 4 of {tmp_path}/more.txt, which "
        "is empty."
    ]
    about = json.loads((tmp_path / "texts.json").read_text("utf-8"))
    assert about["unlabelled"] == 2 and about["known already"] == 2 and about["faulty lines"] == 2


@pytest.mark.parametrize("missing", [[], ["texts.ids", "texts.logits"]])
def test_texts_that_a_training_has_removed_are_written_again(tmp_path, missing):
    first, _ = written(tmp_path, [b"a b", b"c c c"])
    rows = np.array(first.ids)
    for name in missing:
        (tmp_path / name).unlink()
    again, _ = written(tmp_path, [b"a b", b"c c c"])
    np.testing.assert_array_equal(again.ids, rows)
    assert again.targets.tolist() == first.targets.tolist()


def test_pairs_stand_on_a_line_with_a_tab(tmp_path):
    asked = []

    def answer(texts, pairs):
        asked.extend(zip(texts, pairs, strict=True))
        return np.full((len(texts), 2), len(asked), np.float32)

    texts, said = written(tmp_path, [b"a\tc", b"a\td", b"a", b"d\td", b"b c\td"], True, answer)
    assert asked == [("a", "c"), ("b", "d"), ("a", "d"), ("b c", "d")]
    assert len(texts.ids) == len(texts.targets["labels"]) == 4
    np.testing.assert_array_equal(texts.targets["teacher_logits"], np.full((4, 2), 4))
    assert "has no pair with a tab between its texts" in said[0] and "line 3" in said[0]


def test_a_folder_is_written_once(tmp_path):
    def fails(texts, pairs):
        raise AssertionError

    first, _ = written(tmp_path, [b"a b"], answer=lambda texts, pairs: np.ones((len(texts), 2)))
    second, _ = written(tmp_path, [b"a b"], answer=fails)
    both = [texts.targets["teacher_logits"] for texts in (first, second)]
    np.testing.assert_array_equal(*both)


# === Trainings ===


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """Few labelled texts, many without labels, and a model that knows the answers."""
    folder = tmp_path_factory.mktemp("toy")
    files = write_toy_files(folder, train=400)
    settings = {"bits": "float", "epochs": 6, "learning_rate": 1e-2, "verbose": 0}
    train(**files, output=folder / "teacher", model=TOY_SIZE, **settings)
    rows = [json.dumps(row) for row in toy_rows(8, 0)]
    few = folder / "few.jsonl"
    few.write_text("\n".join(rows) + "\n", "utf-8")
    lines = [row["text"] for row in toy_rows(600, 7)]
    (folder / "more.txt").write_text("\n".join(lines) + "\n", "utf-8")
    others = {"validation": files["validation"], "test": files["test"]}
    size = {**TOY_SIZE, "width": 24, "num_blocks": 3, "hidden_width": 16}
    options = {"epochs": 5, "learning_rate": 1e-2, "batch_size": 16, "verbose": 0, "model": size}
    return folder, {"data": few, **others, **options}


@pytest.mark.slow
def test_a_student_of_another_shape_learns_what_its_labels_do_not_tell(toy, tmp_path):
    folder, words = toy
    alone = train(output=tmp_path / "alone", **words)
    words = {**words, "teacher": folder / "teacher", "unlabelled": folder / "more.txt"}
    taught = train(output=tmp_path / "taught", **words)
    assert taught.evaluation.full_depth_score > alone.evaluation.full_depth_score + 0.15
    # Its vocabulary has words that no text with a label has.
    few, more = (
        set((folder / name).read_text("utf-8").split()) for name in ("few.jsonl", "more.txt")
    )
    words_of = set((tmp_path / "taught" / "vocab.txt").read_text("utf-8").split())
    assert {word for word in more if not any(word in other for other in few)} <= words_of
    kept = {path.name for path in (tmp_path / "taught").iterdir()}
    assert "texts.json" in kept and not {"texts.ids", "texts.logits"} & kept
    again = train(output=tmp_path / "taught", **words)
    assert again.evaluation == taught.evaluation
    (tmp_path / "other.txt").write_text("a good film\n", "utf-8")
    with pytest.raises(BeexError, match=r"a run with other settings \(unlabelled\)"):
        train(output=tmp_path / "taught", **{**words, "unlabelled": tmp_path / "other.txt"})


@needs_engine
def test_a_binary_teacher_answers_by_the_engine_what_keras_answers(toy, monkeypatch):
    folder, words = toy
    size = {name: value for name, value in words.items() if name != "data"}
    run = train(folder / "train.jsonl", folder / "binary", **{**size, "epochs": 1})
    student = BEExformerClassifier(tiny_config(num_classes=2), labels=run.model.labels[::-1])
    teacher = warm_start(folder / "binary")
    with monkeypatch.context() as without:
        without.setattr("beex_keras.runtime.library.path", lambda: folder / "missing")
        keras = teacher_logits(student, teacher)
    engine = teacher_logits(student, teacher)
    texts = [row["text"] for row in toy_rows(50, 3)]
    logits = run.model.predict(run.model.preprocessor.encode(texts), verbose=0)
    # The last exit's, in the order of the student's labels.
    np.testing.assert_allclose(keras(texts, None), logits[:, -1, ::-1], atol=1e-4)
    monkeypatch.setattr(KerasRunner, "exit_logits", lambda *_: pytest.fail("asked Keras"))
    np.testing.assert_allclose(engine(texts, None), logits[:, -1, ::-1], atol=1e-4)


def test_texts_without_a_label_count_for_the_epochs(toy, tmp_path, no_steps, capsys):
    words = {**toy[1], "teacher": toy[0] / "teacher", "verbose": 1}
    del words["epochs"]
    more = tmp_path / "more.txt"
    more.write_text("a text\n" * 9_991 + "no end", "utf-8")  # beside eight with a label
    for number, files in enumerate(([], [more])):
        train(output=tmp_path / str(number), **words, unlabelled=files)
    said = re.findall(r"Recipe distill_logits: (\d+) epochs", capsys.readouterr().err)
    counts = [TrainingConfig.from_recipe("distill_logits", n).epochs for n in (8, 10_000)]
    assert [*map(int, said)] == counts and counts[0] > counts[1]


@pytest.mark.slow
def test_a_training_with_texts_without_labels_goes_on_where_it_was(toy, tmp_path):
    folder, words = toy
    words = {**words, "teacher": folder / "teacher", "unlabelled": [folder / "more.txt"]}
    words |= {"epochs": 2, "save_steps": 5}
    whole = train(output=tmp_path / "whole", **words)
    with pytest.raises(KeyboardInterrupt):
        train(output=tmp_path / "parts", callbacks=[Interrupt(1, 8)], **words)
    assert (tmp_path / "parts" / "texts.ids").exists()
    resumed = train(output=tmp_path / "parts", **words)
    assert same_weights(resumed.model, whole.model)


@pytest.mark.slow
def test_a_regression_learns_from_answers_in_its_own_units(tmp_path):
    values = {"bad": 1.5, "fine": 5.25, "great": 9.0}

    def rows(count, seed):
        random = np.random.default_rng(seed)
        words = random.choice([*values], count)
        fill = random.choice(["the", "a", "so"], count)
        texts = [f"{f} {w} film" for f, w in zip(fill, words, strict=True)]
        return texts, [values[word] for word in words]

    data = {"data": rows(200, 0), "validation": rows(60, 1), "test": rows(60, 2)}
    (tmp_path / "more.txt").write_text("\n".join(f"{w} film so" for w in values) + "\n", "utf-8")
    words = {**data, "epochs": 8, "learning_rate": 1e-2, "batch_size": 16, "verbose": 0}
    words["model"] = TOY_SIZE
    train(output=tmp_path / "teacher", bits="float", **words)
    words |= {"model": {**TOY_SIZE, "num_blocks": 1}, "teacher": tmp_path / "teacher"}
    run = train(output=tmp_path / "run", unlabelled=tmp_path / "more.txt", **words)
    assert run.evaluation.full_depth_score > 0.95
    assert "value_scale" in json.loads((tmp_path / "run" / "run.json").read_text("utf-8"))
    found = beex.load(tmp_path / "run").classify(["the great film", "the bad film"])
    assert abs(found[0].value - 9.0) < 1.5 and abs(found[1].value - 1.5) < 1.5


# === What does not fit ===


def test_what_cannot_answer_is_refused(toy, tmp_path):
    folder, words = toy
    refused = {
        "unlabelled needs a teacher": {"unlabelled": folder / "more.txt"},
        "only the teacher has positive, only the task dull": {
            "teacher": folder / "teacher",
            "data": _renamed(words["data"], tmp_path),
            "validation": None,
            "test": None,
        },
        "token_replacement_rate needs a teacher of the same shape and vocabulary": {
            "teacher": folder / "teacher",
            "token_replacement_rate": 0.3,
        },
        "There is no file of unlabelled texts at nowhere.txt": {
            "teacher": folder / "teacher",
            "unlabelled": "nowhere.txt",
        },
    }
    for number, (reason, changes) in enumerate(refused.items()):
        with pytest.raises(BeexError, match=re.escape(reason)):
            train(output=tmp_path / f"run{number}", **{**words, **changes})


def _renamed(source, folder):
    """The rows with another label, twice so that splits can be taken out of them."""
    lines = source.read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in 4 * lines]
    for number, row in enumerate(rows):
        row["label"] = "dull" if row["label"] == "positive" else "negative"
        row["text"] += f" {number}"
    path = folder / "renamed.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)) + "\n", "utf-8")
    return path
