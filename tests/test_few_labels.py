"""Few labels: who is taught by its twin by itself, and what the student starts from."""

import json

import numpy as np
import pytest
from small_encoder import SHAPE, VOCABULARY
from toy import write_toy_files

from beex_keras import BeexError, train
from beex_keras.data import Split
from beex_keras.models import BEExformerConfig
from beex_keras.training import TrainingConfig, binary_minilm, results, settings
from beex_keras.training.arguments import Arguments
from beex_keras.training.trainer import Trainer


@pytest.fixture(autouse=True)
def no_baselines(monkeypatch):
    """They have tests of their own."""
    monkeypatch.setattr(results, "_FEW_LABELS", 0)


def resolved(labelled, count=None, teacher=None, init="minilm", unlabelled=False, data=(), **words):
    words = {"vocabulary_size": 100, **SHAPE, **words}
    read = Arguments.read(words, init=init, teacher=teacher, has_unlabelled=unlabelled)
    data = settings.Data(labelled, unlabelled=(count or labelled) - labelled, **dict(data))
    return settings.resolve(read, data)


def name_of(start):
    return start.identity["name"]


def test_few_labels_have_the_twin_for_a_teacher_and_the_binary_encoder_for_a_start(encoders):
    found = resolved(10_000)
    assert name_of(found.init) == "binary-minilm" and found.teacher is None
    assert name_of(found.twin.init) == "minilm" and found.twin.model.weight_bits == 32
    assert (found.twin.training.loss, found.training.loss) == ("last", "linear")
    number = resolved(10_000, data={"is_regression": True, "classes": 1})
    assert number.twin.training.loss == number.training.loss == "uniform"
    assert (found.model.dropout, found.training.soft_targets) == (0.0, 0.7)
    assert found.training == TrainingConfig.warm(
        True, epochs=3, batch_size=32, **settings.TAUGHT_TRAINING
    )
    # Texts without labels are not counted among the few.
    assert name_of(resolved(10_000, 10**6).init) == "binary-minilm"
    fully = resolved(500, bits="fully-binary")
    assert name_of(fully.init) == "binary-minilm" and fully.model.activation_bits == 1


def test_a_taught_model_learns_longer_than_its_twin(encoders):
    for labelled, epochs in ((100, (50, 50)), (500, (20, 10)), (2_000, (12, 6)), (10_000, (3, 2))):
        found = resolved(labelled)
        assert (found.training.epochs, found.twin.training.epochs) == epochs
    assert resolved(500, epochs=1).training.epochs == 1
    assert resolved(10_000, 10**6).training.epochs == 1


def test_many_classes_take_longer_to_learn(encoders):
    for labelled, epochs in ((1_500, (16, 16)), (9_000, (10, 3)), (15_000, (6, 2))):
        found = [resolved(labelled, init=None, data={"classes": count}) for count in (21, 20)]
        assert tuple(each.training.epochs for each in found) == epochs


def test_long_texts_are_read_further(encoders, monkeypatch):
    monkeypatch.setattr(binary_minilm, "LENGTH", 10)
    shape = {name: value for name, value in SHAPE.items() if name != "max_length"}

    def found(init, count=10_001, **words):
        read = Arguments.read({"vocabulary_size": 100, **shape, **words}, init=init)
        return settings.resolve(read, settings.Data(count, are_long=True))

    for start in ("minilm", "binary-minilm", "binary-minilm-pairs"):
        long, given = found(start), found(start, max_length=8)
        assert (long.model.max_length, given.model.max_length) == (10, 8)
        assert (long.training.batch_size, given.training.batch_size) == (32, 64)
    few = {length: found("binary-minilm", 1_800, max_length=length) for length in (8, 10)}
    epochs = {
        length: (its.training.epochs, its.twin.training.epochs) for length, its in few.items()
    }
    assert epochs == {8: (14, 7), 10: (7, 4)}
    assert found("none").model.max_length == 64


@pytest.mark.parametrize(("words", "length"), [({}, 10), ({"max_length": 8}, 8)])
def test_a_training_looks_how_long_its_texts_are(
    encoders, tmp_path, monkeypatch, no_steps, words, length
):
    monkeypatch.setattr(binary_minilm, "LENGTH", 10)
    shape = {name: value for name, value in SHAPE.items() if name != "max_length"}
    split = ["good " * 130, "bad " * 130] * 20, [0, 1] * 20
    words = {**shape, "init": "binary-minilm", "teacher": "none", "epochs": 1, **words}
    run = train(split, tmp_path, validation=split, test=split, **words, verbose=0)
    assert run.model.config.max_length == length


def test_texts_are_long_if_a_quarter_of_them_is_cut():
    long, short = "film " * 127, "a film"

    def are_long(*texts, pairs=None):
        return binary_minilm.are_long(Split(list(texts), pairs, np.zeros(len(texts), int)))

    assert are_long(long, short, short, short)
    assert not are_long(long, short, short, short, short)
    assert not are_long("film " * 126)
    assert are_long("film " * 63, pairs=["film " * 63])
    assert not are_long("film " * 62, pairs=["film " * 63])


def test_pairs_have_a_binary_encoder_of_their_own(encoders):
    pairs = {"is_pair": True}
    found, named = (resolved(500, init=init, data=pairs) for init in (None, "minilm"))
    assert {name_of(start.init) for start in (found, found.twin, named)} == {"binary-minilm-pairs"}
    assert name_of(named.twin.init) == "minilm"
    assert name_of(resolved(500, init="binary-minilm", data=pairs).init) == "binary-minilm"


def test_many_labels_have_no_teacher_unless_asked(encoders):
    found = resolved(20_001)
    assert found.twin is None and name_of(found.init) == "minilm"
    assert found.training.soft_targets == 0
    asked = resolved(20_001, teacher="twin")
    assert asked.twin is not None and name_of(asked.init) == "minilm"
    # Whoever has texts without labels wants somebody to answer them.
    assert resolved(20_001, unlabelled=True).twin is not None


def test_with_few_labels_the_twin_answers_unlabelled_texts(encoders):
    found = resolved(2_000, 65_000, unlabelled=True)
    assert found.twin.twin is None
    assert (found.training.soft_targets, found.twin.training.soft_targets) == (0.7, 0.0)
    assert [of.training.epochs for of in (found.twin, found)] == [6, 1]
    assert [of.training.batch_size for of in (found.twin, found)] == [32, 64]
    assert resolved(2_000, 15_000, unlabelled=True).training.epochs == 2
    short = resolved(2_000, 65_000, unlabelled=True, epochs=3)
    assert {of.training.epochs for of in (short, short.twin)} == {3}


def test_each_pair_counts_once_and_no_token_of_it_is_hidden(encoders):
    found = resolved(20_000, data={"is_pair": True, "both_orders": True})
    assert found.training.batch_size == found.twin.training.batch_size == 32
    assert found.twin.model.token_dropout == 0 and found.twin.model.dropout == 0.1
    assert resolved(40_002, data={"is_pair": True, "both_orders": True}).twin is None
    for words in ({"bits": "float"}, {"teacher": "none"}):
        assert resolved(500, data={"is_pair": True}, **words).model.token_dropout == 0
    assert resolved(500, bits="float").model.token_dropout == 0.1
    asked = resolved(500, data={"is_pair": True}, bits="float", token_dropout=0.2)
    assert asked.model.token_dropout == 0.2


def test_the_twin_learns_from_the_labels_and_the_student_from_all_texts(
    eager, encoders, tmp_path, monkeypatch
):
    monkeypatch.setattr(settings, "epochs_of", lambda *count, **kind: 1)
    seen = []
    real = Trainer.lessons

    def lessons(self, model):
        found = real(self, model)
        texts = found.texts
        seen.append(
            (len(texts.ids), found.teacher is not None, texts.answers is not None, found.share)
        )
        return found

    monkeypatch.setattr(Trainer, "lessons", lessons)
    words = {**write_toy_files(tmp_path, 30, 20), **SHAPE, "epochs": 1, "verbose": 0}
    (tmp_path / "more.txt").write_text("a great film\nso bad\n" * 20, "utf-8")
    words |= {"unlabelled": tmp_path / "more.txt", "vocabulary_size": 100}
    run = train(output=tmp_path / "run", init="minilm", **words)
    assert seen == [(30, False, False, 0.0), (70, True, False, 0.7)]
    student, twin = (
        json.loads((tmp_path / "run" / name / "run.json").read_text("utf-8"))
        for name in (".", "twin")
    )
    assert student["teacher"] == {"kind": "twin", "epochs": 1, "init": twin["init"]}
    assert "unlabelled" in student and not {"teacher", "unlabelled"} & twin.keys()
    again = train(output=tmp_path / "run", init="minilm", **words)
    np.testing.assert_allclose(again.exit_logits["test"], run.exit_logits["test"], atol=1e-5)


def test_nobody_teaches_where_that_is_said_or_nothing_is_binarized(encoders):
    for words in ({"teacher": "none"}, {"bits": "float"}):
        found = resolved(500, **words)
        assert found.twin is None and name_of(found.init) == "minilm"
    recipe = Arguments.read(SHAPE, training=TrainingConfig(), init="minilm")
    assert settings.resolve(recipe, settings.Data(500)).twin is None
    with pytest.raises(BeexError, match="mean nothing without a teacher"):
        resolved(500, teacher="none", unlabelled=True)


@pytest.mark.parametrize(
    "words",
    [
        {"width": 12, "num_heads": 3, "hidden_width": 20},
        {"num_blocks": 2, "init_layers": (0, 2)},
        {"max_length": 14},
        {"vocabulary_size": 20},
        {"init": "encoder"},
    ],
)
def test_another_shape_or_encoder_starts_from_its_twin(encoders, encoder_folder, words):
    if words.get("init"):
        words = {"init": str(encoder_folder / words["init"])}
    found = resolved(500, **words)
    assert found.twin is not None and name_of(found.init) != "binary-minilm"


def test_trainings_start_from_the_binary_encoder_by_default(encoders):
    found = resolved(200_000, init=None)
    assert found.start_by_default and name_of(found.init) == "binary-minilm"
    # Two trainings would take long.
    assert found.twin is None and found.teacher is None
    assert found.model.dropout == 0.1  # which a teacher would make superfluous
    # More than 100,000 texts are seen once.
    assert found.training == TrainingConfig.warm(True, epochs=1, **settings.FAST_EXITS)
    assert resolved(100_000, init=None).training.epochs == 2
    assert resolved(200_001, init=None).init is None
    assert resolved(500, init=None, bits="fully-binary").model.activation_bits == 1
    pairs = resolved(400_000, init=None, data={"is_pair": True, "both_orders": True})
    assert pairs.start_by_default and name_of(pairs.init) == "binary-minilm-pairs"


def test_a_twin_from_the_binary_encoder_teaches_where_texts_are_few(encoders):
    """It comes with the package; MiniLM would have to be downloaded."""
    found = resolved(5_000, init=None)
    assert found.start_by_default and found.twin.model == found.model.replace(
        weight_bits=32, embedding_bits=32, dropout=0.1, token_dropout=0.1
    )
    assert name_of(found.init) == name_of(found.twin.init) == "binary-minilm"
    assert (found.training.head_rate, found.training.replaced_tokens) == (2.0, 0.4)
    assert found.twin.training == TrainingConfig.warm(
        False, epochs=3, batch_size=32, loss="last", **settings.REAL_TRAINING
    )
    named = resolved(5_000, init="binary-minilm")
    assert (named.twin.training, named.training) == (found.twin.training, found.training)
    assert resolved(20_000, init=None).twin is not None
    assert resolved(20_001, init=None).twin is None
    for count, taught in ((10_000, True), (10_001, False)):
        many = resolved(count, init=None, data={"classes": 21})
        assert (many.twin is not None) == taught
    assert resolved(5_000, init="binary-minilm", bits="float").training.learning_rate == 3e-4
    alone = resolved(500, init=None, teacher="none")
    assert alone.twin is None and alone.training.head_rate == 10.0


@pytest.mark.parametrize("init", [None, "minilm"])
def test_exits_of_many_classes_learn_faster(encoders, init):
    found = resolved(5_000, init=init, data={"classes": 21})
    few = resolved(5_000, init=init, data={"classes": 20})
    assert (found.training.head_rate, few.training.head_rate) == (10.0, 2.0)
    assert found.twin.training == few.twin.training


@pytest.mark.parametrize(
    ("labelled", "words"),
    [
        (200_001, {}),
        (500, {"init": "none"}),
        (500, {"preset": "tiny"}),
        (500, {"bits": "float"}),
        (500, {"width": 12, "num_heads": 3}),
        (500, {"max_length": 14}),
        (500, {"vocabulary_size": 20}),
        (500, {"data": {"is_known_language": False}}),
    ],
)
def test_no_start_by_default_for_what_it_does_not_fit(encoders, labelled, words):
    found = resolved(labelled, **{"init": None, **words})
    assert found.init is None and not found.start_by_default


def test_a_width_that_the_starts_heads_do_not_divide_is_no_mistake():
    assert not Arguments.read({"width": 64}).leave_start_open
    assert Arguments.read({"num_heads": 12}, init="minilm").model == {"num_heads": 12}


def test_no_start_by_default_beside_a_whole_configuration(encoders):
    for whole in ({"model": BEExformerConfig()}, {"training": TrainingConfig()}):
        found = settings.resolve(Arguments.read({}, **whole), settings.Data(500))
        assert found.init is None


def test_texts_in_another_language_start_from_random_weights(eager, encoders, tmp_path):
    texts = ["gut und schoen", "schlecht und teuer"] * 20
    words = {"validation": (texts, [0, 1] * 20), "test": (texts, [0, 1] * 20), "epochs": 1}
    run = train((texts, [0, 1] * 20), tmp_path / "run", **words, **SHAPE, verbose=0)
    assert "schoen" in run.model.preprocessor.vocabulary
    assert "init" not in json.loads((tmp_path / "run" / "run.json").read_text("utf-8"))


def test_unlabelled_texts_alone_ask_for_minilm(encoders):
    found, named = (resolved(500, 900, init=init, unlabelled=True) for init in (None, "minilm"))
    assert name_of(found.init) == "binary-minilm" and found.twin is not None
    assert found.training == named.training
    assert not found.start_by_default
    by_twin = resolved(500, 900, init=None, teacher="twin", unlabelled=True)
    assert by_twin.training == named.training
    foreign = resolved(500, 900, init=None, unlabelled=True, data={"is_known_language": False})
    assert foreign.init is foreign.twin.init is None
    assert (foreign.model.weight_bits, foreign.twin.model.weight_bits) == (1, 32)


def test_a_vocabulary_of_ones_own_leaves_the_default_start_out(eager, encoders, tmp_path):
    words = {**write_toy_files(tmp_path, 32, 20), **SHAPE, "epochs": 1, "verbose": 0}
    run = train(output=tmp_path / "run", vocabulary=VOCABULARY, **words)
    assert list(run.model.preprocessor.vocabulary) == list(VOCABULARY)
    assert "init" not in json.loads((tmp_path / "run" / "run.json").read_text("utf-8"))


def test_the_default_start_takes_replicas_to_the_same_model(encoders, tmp_path):
    shape = {**SHAPE, "num_blocks": 1, "dropout": 0.0, "token_dropout": 0.0}
    words = {**write_toy_files(tmp_path), **shape, "teacher": "none"}
    alone, shared = (
        train(output=tmp_path / name, epochs=1, verbose=0, strategy=strategy, **words)
        for name, strategy in (("one", "none"), ("two", "mirrored"))
    )
    np.testing.assert_allclose(shared.exit_logits["test"], alone.exit_logits["test"], atol=1e-5)


def test_a_shallower_model_takes_the_first_blocks(encoders):
    assert name_of(resolved(500, num_blocks=2).init) == "binary-minilm"


def test_the_student_starts_from_the_binary_encoder(eager, encoders, tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "epochs_of", lambda *count, **kind: 1)
    words = {**write_toy_files(tmp_path, 32, 20), **SHAPE, "epochs": 1, "verbose": 0}
    words |= {"learning_rate": 1e-9, "vocabulary_size": 100}
    run = train(output=tmp_path / "run", init="minilm", **words)
    about, its = (
        json.loads((tmp_path / "run" / name / "run.json").read_text("utf-8"))
        for name in (".", "twin")
    )
    assert about["teacher"] == {"kind": "twin", "epochs": 1, "init": its["init"]}
    assert (about["init"]["name"], its["init"]["name"]) == ("binary-minilm", "minilm")
    gammas = [weight.numpy() for weight in run.model.weights if "gamma" in weight.name]
    assert gammas and all(np.allclose(gamma, 0.7, atol=1e-6) for gamma in gammas)
    # By its name it is the same start, and that of the twin.
    again = train(output=tmp_path / "named", init="binary-minilm", **words)
    np.testing.assert_allclose(again.exit_logits["test"], run.exit_logits["test"], atol=1e-6)
    about = json.loads((tmp_path / "named" / "run.json").read_text("utf-8"))
    assert about["teacher"]["init"] == about["init"]


@pytest.mark.parametrize(
    ("words", "advised"),
    [
        ({"verbose": 2, "init": "none"}, "The start is random weights"),
        ({"verbose": 2}, "The start is the packaged binary MiniLM"),
        ({"verbose": 2, "teacher": "none"}, "The start is the packaged binary MiniLM"),
        ({"verbose": 0}, None),
        ({"verbose": 2, "init": "minilm", "teacher": "none"}, None),
        ({"verbose": 2, "init": "none", "teacher": "twin"}, "The start is random weights"),
    ],
)
def test_few_texts_are_told_of_minilm(encoders, tmp_path, monkeypatch, capsys, words, advised):
    def stop(self, model):
        raise BeexError("stopped")

    monkeypatch.setattr(Trainer, "fit", stop)
    with pytest.raises(BeexError, match="stopped"):
        train(**write_toy_files(tmp_path), output=tmp_path / "run", **SHAPE, **words)
    said = capsys.readouterr().err
    assert said.count("--init minilm") == (advised is not None)
    assert advised is None or advised in said
    assert ("twin is trained first" in said) == (words == {"verbose": 2})


def test_what_a_twin_adds_can_be_set_where_it_teaches_by_default():
    words = {"replaced_tokens": 0.2, "hidden_weight": 2.0, "anneal": 0.3}
    found = settings.resolve(Arguments.read(words), settings.Data(3_000)).training
    assert {name: getattr(found, name) for name in words} == words
    with pytest.raises(BeexError, match="hidden_weight means nothing without teacher"):
        settings.resolve(Arguments.read(words), settings.Data(30_000))
