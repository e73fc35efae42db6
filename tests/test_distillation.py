"""The gradient step of a training with a teacher, and without."""

import numpy as np
import pytest
import tensorflow as tf
from conftest import MODES, random_ids, tiny_config
from gradients import Recorder, softmax
from small_encoder import config_of, write_encoder
from toy import toy_rows, write_toy_files

from beex_keras import SoftRoutingLoss, TrainingConfig, load_task
from beex_keras.models import BEExformerClassifier
from beex_keras.training import Distiller, train, warm_start
from beex_keras.training.distiller import hidden_loss, replace_tokens
from beex_keras.training.warm_starts import make_teacher, shares_shape


def test_hidden_loss_against_its_equation():
    random = np.random.default_rng(0)
    mine, its = random.normal(size=(2, 3, 4, 5, 6)).astype(np.float32)
    mask = random.random((4, 5)) < 0.7
    expected = []
    for x, known in zip(mine.astype(np.float64), its.astype(np.float64), strict=True):
        x, known = x[mask], known[mask]
        expected.append(((x - known) ** 2).sum() / ((known - known.mean(axis=0)) ** 2).sum())
    np.testing.assert_allclose(
        hidden_loss(list(mine), list(its), mask), np.mean(expected), rtol=1e-5
    )


def gradients_of_a_step(with_teacher, **options):
    """Student, teacher, ids, labels and the gradients of the student's weights, by name."""
    tf.keras.utils.set_random_seed(1)
    still = {"dropout": 0.0, "token_dropout": 0.0}
    student = BEExformerClassifier(tiny_config(**still))
    teacher = BEExformerClassifier(tiny_config(**still, **MODES["float"])) if with_teacher else None
    ids, labels = random_ids(6, 9), np.array([0, 1, 2, 3, 0, 1])
    distiller = Distiller(student, teacher, **options)
    distiller.compile(Recorder(), SoftRoutingLoss())
    distiller.train_step((tf.constant(ids), tf.constant(labels)))
    names = [weight.name for weight in student.trainable_variables]
    gradients = dict(zip(names, distiller.optimizer.gradients, strict=True))
    return student, teacher, ids, labels, gradients


def test_exits_learn_from_the_labels_and_the_teachers_last_exit():
    student, teacher, ids, labels, gradients = gradients_of_a_step(
        True, distillation_alpha=0.3, hidden_loss_weight=2.0
    )
    target = 0.7 * np.eye(4)[labels] + 0.3 * softmax(teacher(ids)[:, -1].numpy().astype(float))
    difference = softmax(student(ids).numpy().astype(np.float64)) - target[:, None]
    for number in range(3):  # softmax minus target, times the exit's share
        found = gradients[f"exit_{number + 1}/logits/bias:0"]
        np.testing.assert_allclose(found, difference[:, number].mean(axis=0) / 3, atol=1e-6)


def test_replaced_tokens_come_from_the_batch_in_half_of_its_texts():
    random = np.random.default_rng(3)
    ids = np.zeros((2000, 12), np.int32)
    for row in ids:
        length = random.integers(3, 13)
        row[:length] = random.choice([50, 60, 60, 60, 70], length)
        row[0], row[length - 1] = 9, 4
    ids[0, 3] = 77  # once among all texts
    most = 0.8
    found, replaced = (x.numpy() for x in replace_tokens(ids, 4, most, tf.constant([5, 6])))
    kept = (ids == 0) | (ids == 4) | (np.arange(12) == 0)
    np.testing.assert_array_equal(found[kept], ids[kept])
    np.testing.assert_array_equal(found[~replaced], ids[~replaced])
    assert abs(replaced.mean() - 0.5) < 0.05
    # Of the words in a replaced text, the share r/2 is drawn anew; where 50 stood, 60 has its share.
    was_50 = replaced[:, None] & ~kept & (ids == 50)
    assert abs((found[was_50] == 60).mean() - 0.6 * most / 2) < 0.05
    assert set(found[~kept]) <= {50, 60, 70, 77}

    again = replace_tokens(ids, 4, most, tf.constant([5, 6]))[0].numpy()
    np.testing.assert_array_equal(found, again)
    assert (found != replace_tokens(ids, 4, most, tf.constant([5, 7]))[0].numpy()).any()
    nothing = np.array([[9, 4, 0]], np.int32)
    np.testing.assert_array_equal(replace_tokens(nothing, 4, most, tf.constant([5, 6]))[0], nothing)


@pytest.mark.parametrize("soft", [0.0, 0.3])
def test_texts_with_replaced_tokens_learn_from_the_teacher_alone(soft):
    student, teacher, ids, labels, gradients = gradients_of_a_step(
        True, distillation_alpha=soft, token_replacement_rate=0.9, seed=3
    )
    seed = tf.constant([3, 0])  # of the training and the step
    read, replaced = replace_tokens(ids, student.config.separator_id, 0.9, seed)
    assert 0 < replaced.numpy().sum() < len(ids)
    share = np.where(replaced, 1.0, soft)[:, None]
    known = softmax(teacher(read)[:, -1].numpy().astype(np.float64))
    target = (1 - share) * np.eye(4)[labels] + share * known
    difference = softmax(student(read).numpy().astype(np.float64)) - target[:, None]
    for number in range(3):
        found = gradients[f"exit_{number + 1}/logits/bias:0"]
        np.testing.assert_allclose(found, difference[:, number].mean(axis=0) / 3, atol=1e-6)


def test_hidden_weight_adds_the_blocks_error():
    plain, teacher, ids, labels, gradients = gradients_of_a_step(True, hidden_loss_weight=2.0)
    with tf.GradientTape() as tape:
        mask = plain.backbone.padding_mask(ids)
        error = hidden_loss(plain.backbone(ids), teacher.backbone(ids), mask)
        loss = SoftRoutingLoss()(labels, plain(ids)) + 2.0 * error
    weight = plain.backbone.blocks[1].slfn.content_out.alpha
    expected = tape.gradient(loss, weight)
    np.testing.assert_allclose(gradients[weight.name], expected, rtol=1e-4, atol=1e-7)


def test_without_a_teacher_earlier_exits_learn_from_the_last():
    student, _, ids, labels, gradients = gradients_of_a_step(False, distillation_alpha=0.4)
    probabilities = softmax(student(ids).numpy().astype(np.float64))
    label = np.eye(4)[labels]
    for number in range(3):
        hard = (probabilities[:, number] - label).mean(axis=0)
        soft = (probabilities[:, number] - probabilities[:, -1]).mean(axis=0)  # 0 at the last exit
        expected = 0.6 * hard / 3 + 0.4 * soft / 2
        found = gradients[f"exit_{number + 1}/logits/bias:0"]
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    return load_task(**write_toy_files(tmp_path_factory.mktemp("toy")))


@pytest.mark.slow
def test_training_with_a_teacher_comes_nearer_to_it(task, tmp_path):
    write_encoder(tmp_path / "encoder")
    recipe = TrainingConfig(
        model=config_of(num_blocks=1),
        epochs=1,
        batch_size=16,
        learning_rate=3e-3,
        binarization_fraction=0.6,
    )
    real = recipe.replace(model=recipe.model.twin(), init=tmp_path / "encoder")
    twin = train(task, tmp_path / "twin", real, binarization_fraction=0.0, verbose=0)
    recipe = recipe.replace(init=tmp_path / "twin")
    alone = train(task, tmp_path / "alone", recipe, verbose=0)
    taught = train(
        task,
        tmp_path / "taught",
        recipe,
        teacher=tmp_path / "twin",
        hidden_loss_weight=5.0,
        token_replacement_rate=0.3,
        verbose=0,
    )

    ids = taught.model.preprocessor.encode(task.test.texts)
    mask, known = ids != 0, [twin.model.backbone(ids)]
    errors = [float(hidden_loss([run.model.backbone(ids)], known, mask)) for run in (alone, taught)]
    assert errors[1] < errors[0]


def test_teacher_has_as_many_bits_or_more(toy_run):
    start = warm_start(toy_run / "run")
    before = start.source
    ids = before.preprocessor.encode([row["text"] for row in toy_rows(60, 3)])

    def learner(**bits):
        return BEExformerClassifier(
            before.config.replace(**bits), before.preprocessor, before.labels
        )

    teacher = make_teacher(learner(**MODES["fully-binary"]), start, ids)
    assert teacher.config.weight_bits == 1 and teacher.config.activation_bits == 32
    np.testing.assert_allclose(teacher(ids), before(ids), atol=1e-6)
    np.testing.assert_allclose(teacher(ids, training=True), before(ids), atol=1e-6)
    shape = before.config.replace(**MODES["float"])
    assert not shares_shape(shape, before.preprocessor, start)


@pytest.mark.parametrize("mode", MODES)
def test_bfloat16_is_for_the_products_of_training_only(mode):
    config = tiny_config(**MODES[mode], dropout=0.0, token_dropout=0.0)
    model = BEExformerClassifier(config)
    rounding = BEExformerClassifier(config, matmul_dtype="bfloat16")
    rounding.set_weights(model.get_weights())
    ids = random_ids(4, 9)
    training = model(ids, training=True).numpy()
    np.testing.assert_array_equal(rounding(ids), model(ids))
    rounded = rounding(ids, training=True).numpy()
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(rounding(ids, training=True) ** 2)
    for gradient in tape.gradient(loss, rounding.trainable_variables):
        assert np.isfinite(tf.convert_to_tensor(gradient)).all()
    difference = np.abs(rounded - training).max()
    if mode == "fully-binary":  # sums of few signs are exact in bfloat16, too
        assert difference == 0
    else:
        assert 0 < difference < 0.2 * np.abs(training).max()
