"""A run is measured on rows that its training held out, or the command says that it may not be."""

import shutil

import pytest
from commands import exit_code as beex
from toy import data_options


@pytest.mark.parametrize("command", ["evaluate", "calibrate"])
def test_rows_that_the_training_may_have_seen(toy_run, tmp_path, capsys, command):
    run, (data, *others) = tmp_path / "run", data_options(toy_run)
    shutil.copytree(toy_run / "run", run)
    assert beex(command, run, data, *others, "--json") == 0
    assert "warning" not in capsys.readouterr().err
    assert beex(command, run, data, "--json") == 0
    split = "test" if command == "evaluate" else "validation"
    expected = f"The {split} split of this DATA is not the one that the training in {run} held out"
    assert expected in capsys.readouterr().err


def test_rows_with_a_file_of_their_own(toy_run, capsys):
    run, (data, _, test) = toy_run / "run", data_options(toy_run)
    assert beex("evaluate", run, data, test, "--json") == 0
    assert beex("evaluate", run, test, "--json") == 0
    assert beex("evaluate", run, data, "--split", "train", "--json") == 0
    assert beex("evaluate", run, test) == 0
    printed = capsys.readouterr()
    assert "test split of 60 texts" in printed.out and "warning" not in printed.err
