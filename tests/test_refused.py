"""A training that is refused leaves nothing in the way of the corrected one."""

import pytest
from toy import TOY_SIZE, toy_files

from beex_keras import BeexError, train
from beex_keras.training import run_folder

SHORT = {**TOY_SIZE, "init": "none", "epochs": 1, "verbose": 0}


def test_a_refused_training_can_be_corrected(toy_run, tmp_path):
    words = {**toy_files(toy_run), "output": tmp_path / "run", **SHORT}
    with pytest.raises(BeexError, match="The exit policy 'change' reads the change of a number"):
        train(policy="change", **words)
    assert not (tmp_path / "run").exists()
    train(**words)
    with pytest.raises(BeexError, match=r"other settings \(policy\)"):
        train(policy="entropy", **words)
    assert (tmp_path / "run" / "results.json").exists()


def test_what_was_trained_stays(tmp_path):
    kept = [tmp_path / name for name in (run_folder.SETTINGS, "checkpoints")]
    for path in kept:
        path.write_text("")
    with pytest.raises(BeexError), run_folder.removed_if_refused(tmp_path):
        raise BeexError("No.")
    assert sorted(tmp_path.iterdir()) == sorted(kept)


@pytest.mark.parametrize("content", ["", "\n \n", "a good film\n"], ids=["empty", "blank", "known"])
def test_unlabelled_files_without_a_new_text_are_refused_first(tmp_path, content):
    (tmp_path / "more.txt").write_text(content, "utf-8")
    texts = ["a good film", *(f"film {number}" for number in range(39))]
    labels = ["good", "bad"] * 20
    words = {"unlabelled": tmp_path / "more.txt", "teacher": "twin", **SHORT}
    with pytest.raises(BeexError, match="No line of .*more.txt is a new text; give texts"):
        train((texts, labels), tmp_path / "run", **words)
    assert not (tmp_path / "run").exists()


def test_differences_are_named_as_people_give_them(tmp_path):
    shape, donor = {"width": 8, "num_blocks": 2}, {"kind": "donor", "name": "minilm"}
    settings = {"model": shape, "init": donor, "teacher": donor}
    run_folder.open_run(tmp_path / "run", settings)
    other = {"model": {**shape, "width": 16}, "init": {**donor, "name": "other"}}
    with pytest.raises(BeexError, match=r"other settings \(width, init, teacher\)"):
        run_folder.open_run(tmp_path / "run", other)
