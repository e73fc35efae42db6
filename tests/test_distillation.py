import dataclasses
import types

import numpy as np
import pytest
import tensorflow as tf
from conftest import MODES, random_ids, tiny_config
from gradients import Recorder, softmax
from small_encoder import config_of, write_encoder
from toy import toy_rows, write_toy_files

from beex_keras import BeexError, TrainingConfig, load_task
from beex_keras.models import BEExformerClassifier
from beex_keras.training import train, warm_start
from beex_keras.training.matrix_dtype import matrix_dtype
from beex_keras.training.optimizer import LayerwiseAdamW, make_optimizer
from beex_keras.training.step import gradient_step, hidden_error, replace_tokens
from beex_keras.training.teacher import make_teacher, shares_shape


def test_hidden_error_against_its_equation():
    random = np.random.default_rng(0)
    mine, its = random.normal(size=(2, 3, 4, 5, 6)).astype(np.float32)
    mask = random.random((4, 5)) < 0.7
    expected = []
    for x, known in zip(mine.astype(np.float64), its.astype(np.float64), strict=True):
        x, known = x[mask], known[mask]
        expected.append(((x - known) ** 2).sum() / ((known - known.mean(axis=0)) ** 2).sum())
    np.testing.assert_allclose(
        hidden_error(list(mine), list(its), mask), np.mean(expected), rtol=1e-5
    )


def gradients_of_a_step(config, with_teacher):
    """Student, teacher, ids, labels and the gradients of the student's weights, by name."""
    tf.keras.utils.set_random_seed(1)
    still = {"dropout": 0.0, "token_dropout": 0.0}
    student = BEExformerClassifier(tiny_config(**still))
    teacher = BEExformerClassifier(tiny_config(**still, **MODES["float"])) if with_teacher else None
    ids, labels = random_ids(6, 9), np.array([0, 1, 2, 3, 0, 1])
    student.compile(Recorder())
    with gradient_step(student, teacher, config):
        student.train_step((tf.constant(ids), tf.constant(labels)))
    assert "train_step" not in vars(student)
    names = [weight.name for weight in student.trainable_variables]
    return student, teacher, ids, labels, dict(zip(names, student.optimizer.gradients, strict=True))


def test_exits_learn_from_the_labels_and_the_teachers_last_exit():
    config = TrainingConfig(soft_targets=0.3, hidden_weight=2.0)
    student, teacher, ids, labels, gradients = gradients_of_a_step(config, True)
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
    config = TrainingConfig(soft_targets=soft, replaced_tokens=0.9, hidden_weight=2.0, seed=3)
    student, teacher, ids, labels, gradients = gradients_of_a_step(config, True)
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


def test_replaced_tokens_need_a_teacher(task, tmp_path):
    with pytest.raises(BeexError, match="replaced_tokens means nothing without teacher"):
        train(
            task, tmp_path / "run", model=config_of(), training=TrainingConfig(replaced_tokens=0.2)
        )


def test_hidden_weight_adds_the_blocks_error():
    plain, teacher, ids, labels, gradients = gradients_of_a_step(
        TrainingConfig(hidden_weight=2.0), True
    )
    with tf.GradientTape() as tape:
        mask = plain.backbone.padding_mask(ids)
        error = hidden_error(plain.backbone(ids), teacher.backbone(ids), mask)
        loss = plain.loss(labels, plain(ids)) + 2.0 * error
    weight = plain.backbone.blocks[1].slfn.content_out.alpha
    expected = tape.gradient(loss, weight)
    np.testing.assert_allclose(gradients[weight.name], expected, rtol=1e-4, atol=1e-7)


def test_without_a_teacher_earlier_exits_learn_from_the_last():
    student, _, ids, labels, gradients = gradients_of_a_step(
        TrainingConfig(soft_targets=0.4), False
    )
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
        epochs=1,
        batch_size=16,
        hidden_weight=5.0,
        learning_rate=3e-3,
        replaced_tokens=0.3,
        anneal=0.6,
    )
    plain = dataclasses.replace(recipe, replaced_tokens=0.0, hidden_weight=4.0)

    config = config_of(num_blocks=1)
    arguments = {"init": warm_start(tmp_path / "encoder"), "verbose": 0}
    twin = train(
        task, tmp_path / "twin", model=config.twin(), training=TrainingConfig(epochs=1), **arguments
    )
    arguments["init"] = warm_start(tmp_path / "twin")
    alone = train(task, tmp_path / "alone", model=config, training=plain, **arguments)
    arguments["teacher"] = arguments["init"]
    taught = train(task, tmp_path / "taught", model=config, training=recipe, **arguments)

    ids = taught.model.preprocessor.encode(task.test.texts)
    mask, known = ids != 0, [twin.model.backbone(ids)]
    errors = [
        float(hidden_error([run.model.backbone(ids)], known, mask)) for run in (alone, taught)
    ]
    assert errors[1] < errors[0]


def test_teacher_has_as_many_bits_or_more(toy_run):
    """A step's teacher can be the step before: it is given as it is, signs and all."""
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
    matrices = [linear.kernel for linear in teacher.backbone.blocks[0].linears().values()]
    for weights in (teacher.backbone.embedding.token.table, *matrices):
        np.testing.assert_array_equal(np.abs(weights.numpy()), 1.0)
    assert not shares_shape(learner(**MODES["float"]), start)


def test_teacher_is_for_one_replica(task, tmp_path):
    strategy = types.SimpleNamespace(num_replicas_in_sync=2)
    recipe = TrainingConfig(soft_targets=0.1)
    with pytest.raises(BeexError, match="one replica"):
        train(task, tmp_path / "run", model=config_of(), training=recipe, strategy=strategy)
    (tmp_path / "more.txt").write_text("a text without a label\n")
    with pytest.raises(BeexError, match="one replica"):  # who would answer it?
        train(task, tmp_path / "more", unlabelled=tmp_path / "more.txt", strategy=strategy)


def test_rates_differ_from_layer_to_layer():
    """A first step of Adam moves every weight by its rate, whatever the gradient."""
    model = BEExformerClassifier(tiny_config(**MODES["float"]))
    config = TrainingConfig(
        learning_rate=1e-2,
        warmup=0.0,
        weight_decay=0.0,
        clip_norm=1e6,
        head_rate=3.0,
        layer_decay=0.5,
    )
    optimizer = make_optimizer(config, 10, model.config)
    optimizer.build(model.trainable_variables)
    before = {v.name: v.numpy() for v in model.trainable_variables}
    optimizer.apply_gradients([(tf.ones_like(v), v) for v in model.trainable_variables])
    optimizer.apply_gradients([(tf.ones_like(v), v) for v in model.trainable_variables])
    moved = {v.name: np.abs(v.numpy() - before[v.name]).max() for v in model.trainable_variables}
    last = moved["block_3/attention/query/bias:0"]
    assert last > 0
    for name, factor in {
        "block_2/slfn/gate_in/matmul/kernel:0": 0.5,
        "block_1/attention_norm/gamma:0": 0.25,
        "embedding/token/table:0": 0.125,
        "embedding/position:0": 0.125,
        "exit_2/logits/kernel:0": 3.0,
    }.items():
        np.testing.assert_allclose(moved[name] / last, factor, rtol=1e-3)
    copy = LayerwiseAdamW.from_config(optimizer.get_config())
    assert copy.factor("exit_1/logits/bias:0") == 3.0 and copy.factor("x/block_1/alpha:0") == 0.25


def test_optimizer_moves_weights_as_adamw_of_keras():
    """At factors of 1, with a table whose gradient comes as a look-up's slices."""

    def trained(optimizer_class):
        random = np.random.default_rng(0)
        variables = [
            tf.Variable(random.normal(size=shape).astype(np.float32), name=name)
            for name, shape in {"token/table": (50, 7), "block_1/kernel": (33, 9)}.items()
        ]
        rate = tf.keras.optimizers.schedules.CosineDecay(
            0.0, 100, warmup_target=1e-2, warmup_steps=5
        )
        optimizer = optimizer_class(rate, weight_decay=0.1, beta_2=0.98, global_clipnorm=1.0)
        for _ in range(20):
            rows = random.integers(0, 50, 20)
            factors = random.normal(size=(33, 9)).astype(np.float32)
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(tf.sin(tf.gather(variables[0], rows)))
                loss += tf.reduce_sum(factors * variables[1] ** 2)
            optimizer.minimize(loss, variables, tape)
        return variables

    for ours, theirs in zip(
        trained(LayerwiseAdamW), trained(tf.keras.optimizers.AdamW), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)
    with pytest.raises(BeexError, match="amsgrad"):
        LayerwiseAdamW(amsgrad=True)


@pytest.mark.parametrize("mode", MODES)
def test_bfloat16_is_for_the_products_of_training_only(mode):
    model = BEExformerClassifier(tiny_config(**MODES[mode], dropout=0.0, token_dropout=0.0))
    ids = random_ids(4, 9)
    inference, training = model(ids).numpy(), model(ids, training=True).numpy()
    with matrix_dtype(model, "bfloat16"):
        np.testing.assert_array_equal(model(ids), inference)
        rounded = model(ids, training=True).numpy()
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(ids, training=True) ** 2)
        for gradient in tape.gradient(loss, model.trainable_variables):
            assert np.isfinite(tf.convert_to_tensor(gradient)).all()
    difference = np.abs(rounded - training).max()
    if mode == "fully-binary":  # sums of few signs are exact in bfloat16, too
        assert difference == 0
    else:
        assert 0 < difference < 0.2 * np.abs(training).max()
    np.testing.assert_array_equal(model(ids, training=True), training)
