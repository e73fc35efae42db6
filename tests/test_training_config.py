"""The configuration of a training, its recipes, and the plan that decides the open fields."""

import json

import numpy as np
import pytest
import tensorflow as tf
from commands import exit_code as beex
from small_encoder import SHAPE, VOCABULARY, write_encoder
from toy import TOY_SIZE, data_options, toy_files, write_toy_files

from beex_keras import BeexError, BEExformerConfig, TrainingConfig, load_task, train
from beex_keras.training import RECIPES, config, warm_start
from beex_keras.training.config import choose_recipe, default_matmul_dtype
from beex_keras.training.plan import make_plan
from beex_keras.training.warm_starts import default_start

BINARY = {"is_pair": False, "is_binary": True}


@pytest.fixture(scope="module")
def task(toy_run):
    return load_task(**toy_files(toy_run))


@pytest.fixture
def plan(task, tmp_path):
    """`plan(**overrides)`: the plan of a training of the toy task."""

    def make(config=None, recipe=None, **overrides):
        return make_plan(task, tmp_path / "run", config, recipe, overrides)

    return make


# === Values ===


@pytest.mark.parametrize(
    "values",
    [
        {"epochs": 0},
        {"learning_rate": 0},
        {"warmup": 1},
        {"loss": "all"},
        {"policy": "oracle"},
        {"bits": "half"},
        {"preset": "huge"},
        {"model": {"num_blocks": 0}},
        {"model": {"blocks": 3}},
        {"margin": -1},
        {"seed": 2**32},
        {"token_replacement_rate": 1.0},
    ],
)
def test_values_out_of_range_are_refused(values):
    with pytest.raises(BeexError):
        TrainingConfig(**values)


def test_misspelt_and_misplaced_fields_are_named(plan):
    with pytest.raises(BeexError, match="no setting 'learning_rat'; did you mean learning_rate"):
        plan(learning_rat=1.0)
    with pytest.raises(BeexError, match=r"give model=\{'num_blocks': 2\}"):
        plan(num_blocks=2)
    with pytest.raises(BeexError, match="preset and bits are given beside a BEExformerConfig"):
        plan(model=BEExformerConfig(), preset="tiny")
    with pytest.raises(BeexError, match="leave one of them out"):
        plan(TrainingConfig(), recipe="scratch")
    with pytest.raises(BeexError, match="Unknown recipe 'quick'"):
        plan(recipe="quick")


# === Recipes ===


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_is_a_configuration_that_overrides_replace(recipe):
    found = TrainingConfig.from_recipe(recipe, 100, batch_size=7, model={"num_blocks": 2})
    assert (found.batch_size, found.model["num_blocks"]) == (7, 2)
    kept = {**RECIPES[recipe].get("model", {}), "num_blocks": 2}
    assert found.model == kept


def test_few_texts_are_seen_more_often():
    counts = [1, 500, 2_000, 10_000, 40_000, 10**7]
    epochs = [TrainingConfig.from_recipe("scratch", count).epochs for count in counts]
    assert epochs == [30, 27, 13, 6, 3, 1]
    assert TrainingConfig.from_recipe("float32", 10_000).epochs == 2
    assert TrainingConfig.from_recipe("scratch", 10_000, epochs=4).epochs == 4


@pytest.mark.parametrize(
    ("count", "is_pair", "recipe"),
    [
        (10_000, False, "few_labels"),
        (10_001, False, "many_labels"),
        (10_000, True, "few_pairs"),
        (10_001, True, "many_pairs"),
    ],
)
def test_two_facts_about_the_data_choose_the_recipe(count, is_pair, recipe):
    start = warm_start("binary-minilm")
    assert choose_recipe(count, is_pair, is_binary=True, init=start) == recipe


def test_the_start_and_the_teacher_choose_the_recipe(tmp_path):
    write_encoder(tmp_path / "encoder")
    real, binary = warm_start(tmp_path / "encoder"), warm_start("binary-minilm")
    classifier = warm_start("sst2-micro")
    assert choose_recipe(100, **BINARY) == "scratch"
    assert choose_recipe(100, **BINARY, init=real) == "binarize"
    assert choose_recipe(100, **BINARY, init=classifier) == "finetune"
    assert choose_recipe(100, False, False, real) == "float32"
    assert choose_recipe(100, False, False, binary) == "float32_from_binary"
    assert choose_recipe(100, **BINARY, init=binary, teacher="same_shape") == "distill"
    assert choose_recipe(100, **BINARY, init=binary, teacher="other_shape") == "distill_logits"
    assert choose_recipe(100, False, False, teacher="same_shape") == "distill_logits"


# === The default start ===


@pytest.mark.parametrize(
    ("count", "words", "start"),
    [
        (500, {}, "binary-minilm"),
        (200_000, {}, "binary-minilm"),
        (200_001, {}, None),
        (500, {"is_pair": True}, "binary-minilm-pairs"),
        (500, {"bits": "fully-binary"}, "binary-minilm"),
        (500, {"bits": "float"}, None),
        (500, {"preset": "minilm"}, None),
        (500, {"model": {"num_blocks": 2}}, "binary-minilm"),
        (500, {"model": {"max_length": 512}}, "binary-minilm"),
        (500, {"model": {"max_length": 513}}, None),
        (500, {"model": {"width": 96, "num_heads": 3}}, None),
        (500, {"model": {"vocabulary_size": 8000}}, None),
        (500, {"model": BEExformerConfig()}, None),
    ],
)
def test_the_packaged_start_is_the_default_for_models_that_it_fits(count, words, start):
    words = {"preset": None, "bits": None, "model": {}, "is_pair": False, **words}
    assert default_start(num_texts=count, **words) == start


def test_a_vocabulary_of_ones_own_leaves_the_default_start_out(encoders, plan):
    found = plan(vocabulary=VOCABULARY, model=TOY_SIZE)
    assert found.init is None and found.recipe == "scratch"
    assert list(found.preprocessor.vocabulary) == VOCABULARY
    with pytest.raises(BeexError, match="A start has its own vocabulary"):
        plan(vocabulary=VOCABULARY, init="binary-minilm")


def test_the_model_has_the_shape_and_the_precision_of_its_start(toy_run, tmp_path, plan):
    trained = warm_start(toy_run / "run").source
    found = plan(init=toy_run / "run")
    assert found.recipe == "finetune"
    assert found.model_config == trained.config.replace(dropout=0.1, token_dropout=0.1)
    assert found.preprocessor.vocabulary == trained.preprocessor.vocabulary
    fully = type(trained)(trained.config.with_bits("fully-binary"), trained.preprocessor)
    fully.save_pretrained(tmp_path / "fully")
    assert plan(init=tmp_path / "fully").model_config.activation_bits == 1
    assert plan(init=toy_run / "run", bits="float").recipe == "float32_from_binary"
    assert plan(model={**TOY_SIZE, "vocabulary_size": 60}).model_config.width == TOY_SIZE["width"]


def test_a_model_without_a_start_begins_as_its_teacher(toy_run, plan):
    trained = warm_start(toy_run / "run").source
    found = plan(teacher=toy_run / "run", preset="tiny", model=TOY_SIZE)
    assert found.has_shape and found.recipe == "distill"
    assert found.init.identity == found.teacher.identity
    assert found.preprocessor.vocabulary == trained.preprocessor.vocabulary
    alone = plan(teacher=toy_run / "run", preset="tiny", model=TOY_SIZE, init="none")
    assert alone.init is None
    other = plan(teacher=toy_run / "run", preset="tiny", model={**TOY_SIZE, "width": 24})
    assert other.init is None and not other.has_shape and other.recipe == "distill_logits"


# === Fields that need others ===


@pytest.mark.parametrize(
    ("field", "value", "needed"),
    [
        ("binarization_fraction", 0.5, "a start"),
        ("init_layers", (0, 1), "a BERT-style encoder"),
        ("hidden_loss_weight", 2.0, "a teacher of the same shape"),
        ("token_replacement_rate", 0.2, "a teacher of the same shape"),
    ],
)
def test_a_field_that_would_change_nothing_is_refused(plan, field, value, needed):
    given = {"init": "none", field: value}
    with pytest.raises(BeexError, match=f"{field} needs {needed}"):
        plan(**given)
    with pytest.raises(BeexError, match=f"{field} needs {needed}"):
        plan(TrainingConfig(**given))


# === Python and the command line ===

SAME = {
    "nothing": ([], {}),
    "fields": (
        ["--epochs", 2, "--learning-rate", 0.01, "--seed", 3, "--policy", "entropy", "--set",
         "batch_size=16", "--set", "use_subwords=false", "--set", "gate_activation=sigmoid"],
        {"epochs": 2, "learning_rate": 0.01, "seed": 3, "policy": "entropy", "batch_size": 16,
         "use_subwords": False, "model": {"gate_activation": "sigmoid"}}),
    "a recipe": (["--recipe", "many_labels"], {"recipe": "many_labels"}),
    "bits": (["--preset", "micro", "--bits", "fully-binary"], {"preset": "micro", "bits": "fully-binary"}),
    "an encoder": (
        ["--init", "{0}/encoder", "--set", "init_layers=[0,2]", "--set", "width=24", "--set", "num_heads=6",
         "--set", "hidden_width=40"],
        {"init": "{0}/encoder", "init_layers": [0, 2],
         "model": {"width": 24, "num_heads": 6, "hidden_width": 40}}),
}  # fmt: skip


@pytest.mark.parametrize("words", SAME)
def test_the_command_and_the_function_make_the_same_run(toy_run, tmp_path, dtypes, words):
    options, arguments = SAME[words]
    write_encoder(tmp_path / "encoder")

    def here(value):
        return value.replace("{0}", str(tmp_path)) if isinstance(value, str) else value

    model = {**TOY_SIZE, **arguments.get("model", {})}
    given = [f"--set={name}={value}" for name, value in TOY_SIZE.items()]
    given = [part for part in given if part.split("=")[1] not in arguments.get("model", {})]
    command = ["train", *data_options(toy_run), *given, *map(here, options)]
    assert beex(*command, "-o", tmp_path / "cli") == 130
    with pytest.raises(KeyboardInterrupt):
        train(
            **toy_files(toy_run),
            output=tmp_path / "python",
            **{name: here(value) for name, value in {**arguments, "model": model}.items()},
        )
    assert dtypes == [{tf.float32}] * 2
    found, expected = (tmp_path / name / "run.json" for name in ("cli", "python"))
    assert found.read_text("utf-8") == expected.read_text("utf-8")


# === Matrix products ===

CPU = "processor\t: 0\nmodel name\t: amx_bf16\nflags\t\t: fpu avx512f {}\nbugs\t\t: amx_bf16\n"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("amx_tile amx_bf16", "bfloat16"),
        ("avx512_bf16 avx512_vnni", "bfloat16"),
        ("avx512_vnni avx_vnni", "float32"),
        (None, "float32"),
    ],
)
def test_the_processor_chooses_the_dtype(tmp_path, monkeypatch, flags, expected):
    file = tmp_path / "cpuinfo"
    if flags is not None:
        file.write_text(CPU.format(flags), "utf-8")
    monkeypatch.setattr(config, "CPU_INFO", file)
    assert default_matmul_dtype() == expected


def test_a_run_keeps_its_dtype_on_another_processor(tmp_path, no_steps, monkeypatch):
    task = load_task(**write_toy_files(tmp_path, 20, 10))
    words = {"preset": "micro", "epochs": 1, "verbose": 0, "model": TOY_SIZE}

    def dtype(processor, **more):
        name = "beex_keras.training.plan.default_matmul_dtype"
        monkeypatch.setattr(name, lambda: processor)
        train(task, tmp_path / "run", **words, **more)
        return json.loads((tmp_path / "run" / "run.json").read_text())["training"]["matmul_dtype"]

    assert dtype("bfloat16") == "bfloat16"
    assert dtype("float32") == "bfloat16"
    with pytest.raises(BeexError, match=r"with other settings \(matmul_dtype\)"):
        dtype("bfloat16", matmul_dtype="float32")


# === Whole trainings ===


def test_the_default_training_starts_from_the_packaged_encoder(eager, encoders, tmp_path, capsys):
    words = {**write_toy_files(tmp_path, 32, 20), "epochs": 1, "learning_rate": 1e-9}
    run = train(output=tmp_path / "run", model={**SHAPE, "vocabulary_size": 100}, **words)
    assert "Recipe few_labels: 1 epoch from binary-minilm." in capsys.readouterr().err
    gammas = [weight.numpy() for weight in run.model.weights if "gamma" in weight.name]
    assert gammas and all(np.allclose(gamma, 0.7, atol=1e-6) for gamma in gammas)
    about = json.loads((tmp_path / "run" / "run.json").read_text("utf-8"))
    assert about["init"]["name"] == "binary-minilm" and "teacher" not in about


def test_a_start_that_is_no_classifier_leaves_the_shape_to_the_preset(plan):
    preset, shape = BEExformerConfig.preset("minilm"), plan().model_config
    for name in ("max_length", "dropout", "token_dropout", "gate_width"):
        assert getattr(shape, name) == getattr(preset, name)
