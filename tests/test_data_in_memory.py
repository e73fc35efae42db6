"""Tasks of lists, dictionaries, data frames and data sets."""

import numpy as np
import pytest
from row_files import write_rows

from beex_keras import BeexError
from beex_keras.data import load_task


class Frame:
    """Columns by name, as of a pandas DataFrame."""

    def __init__(self, columns):
        self.values, self.columns = columns, list(columns)

    def __getitem__(self, name):
        return np.array(self.values[name], object)


class HubDataset(Frame):
    """As a Hugging Face Dataset, whose labels may have names."""

    def __init__(self, columns, names=None):
        super().__init__(columns)
        self.column_names, self.columns = self.columns, None
        label = type("ClassLabel", (), {"names": names})()
        self.features = {"text": object(), "label": label}


TEXTS = [f"text {i}" for i in range(40)]
LABELS = ["good" if i % 2 else "bad" for i in range(40)]
COLUMNS = {"text": TEXTS, "label": LABELS}


@pytest.mark.parametrize(
    "data",
    [
        (TEXTS, LABELS),
        [TEXTS, LABELS],
        COLUMNS,
        Frame(COLUMNS),
        HubDataset(COLUMNS),
        {"train": HubDataset(COLUMNS)},
    ],
    ids=["tuple", "list", "dictionary", "frame", "hub", "splits"],
)
def test_every_form_gives_the_task_of_the_file(tmp_path, data):
    of_file = load_task(write_rows(tmp_path / "t.jsonl", zip(TEXTS, LABELS, strict=True)))
    task = load_task(data)
    assert task.fingerprint() == of_file.fingerprint() and task.labels == of_file.labels
    assert load_task(task) is task


def test_splits_of_a_dictionary_and_of_arguments():
    some = (TEXTS[:8], LABELS[:8])
    for task in (
        load_task({"train": COLUMNS, "validation": some, "test": some}),
        load_task(COLUMNS, validation=some, test=some),
    ):
        assert [len(s) for s in (task.train, task.validation, task.test)] == [40, 8, 8]


def test_pairs_of_strings_and_a_pair_column():
    pairs = [(text, text[::-1]) for text in TEXTS]
    one = load_task((pairs, LABELS))
    columns = {"a": TEXTS, "b": [second for _, second in pairs], "y": LABELS, "z": [None] * 40}
    other = load_task(columns, text_column="a", pair_column="b", label_column="y")
    assert one.is_pair and one.fingerprint() == other.fingerprint()


def test_names_of_integer_labels():
    data = {"text": TEXTS, "label": [np.int64(i % 2) for i in range(40)]}
    assert load_task(data).labels == ("0", "1")
    assert load_task(HubDataset(data, ["no", "yes"])).labels == ("no", "yes")


def test_each_split_has_names_of_its_own():
    names = ["no", "perhaps", "yes"]
    train = {"text": TEXTS, "label": [2 * (i % 2) for i in range(40)]}  # nobody says perhaps
    test = {"text": TEXTS, "label": [i % 2 for i in range(40)]}
    task = load_task(HubDataset(train, names), test=HubDataset(test, ["yes", "no"]))
    assert task.labels == ("no", "yes")
    assert task.test.labels.tolist() == [1, 0] * 20
    for same in (train, (TEXTS, ["no", "yes"] * 20)):
        task = load_task(HubDataset(train, names), test=same)
        assert task.test.labels.tolist() == [0, 1] * 20


def test_whole_numbers_of_a_column_of_floats():
    labels = [f"{i % 11}{'.0' if i % 3 else ''}" for i in range(40)]
    task = load_task((TEXTS, labels), test=(TEXTS, labels))
    assert task.labels == tuple(map(str, range(11)))
    assert task.test.labels.tolist() == [i % 11 for i in range(40)]
    assert load_task((TEXTS, ["01", "1.50"] * 20), task_kind="classification").labels == (
        "01",
        "1.50",
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((TEXTS, LABELS[1:]), r"differ in length \(text: 40, label: 39\)"),
        ({"text": TEXTS}, "no column 'label' on the train data, whose columns are text"),
        ((TEXTS, [*LABELS[1:], None]), "'label' on row 40 of the train data is empty"),
        (([*TEXTS[1:], " "], LABELS), "'text' on row 40 of the train data is empty"),
        (([1, 2], ["a", "b"]), "'text' on row 1 of the train data .* type int"),
        (([("a", "b"), "c"], ["a", "b"]), "string, or a pair of strings"),
        (([float("nan"), *TEXTS[1:]], LABELS), "'text' on row 1 of the train data is empty"),
        ({"train": (TEXTS, LABELS), "valid": (TEXTS, LABELS)}, "no split 'valid'; the splits are"),
        (None, "There is no training data"),
        (7, "A int is no data; give"),
        ("nothing", "no file 'nothing' and no such task"),
        ((TEXTS, ["bad"] * 40), "Every row of the train data has the label 'bad'"),
        (
            (TEXTS, list(range(40))),
            r"same is true of 39 other labels. .* \(--task-kind regression\)",
        ),
        (
            ([*TEXTS[3:], "Hello", "hello", "hello "], [*LABELS[3:], *["new"] * 3]),
            "'new' has too few different texts in the train data: it has 1, .* need 3",
        ),
    ],
)
def test_faulty_forms_are_explained(data, message):
    with pytest.raises(BeexError, match=message):
        load_task(data)


def test_a_test_split_without_labels_is_a_mistake():
    """Data sets mark rows without a label by -1."""
    names, test = ["no", "yes"], {"text": TEXTS, "label": [-1] * 40}
    train = HubDataset({"text": TEXTS, "label": [i % 2 for i in range(40)]}, names)
    with pytest.raises(BeexError, match="The label '-1' on row 1 of the test data does not occur"):
        load_task(train, test=HubDataset(test, names))
