"""`beex` within this process."""

import contextlib
import io


def beex(*arguments: object, code: int = 0) -> str:
    """What a command prints, once it has ended with such an exit code."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        found = exit_code(*arguments)
    assert found == code, (arguments, found, output.getvalue())
    return output.getvalue()


def exit_code(*arguments: object) -> int:
    """With which exit code a command ends."""
    from beex_keras.cli import main

    try:
        main([str(argument) for argument in arguments])
    except SystemExit as exit:
        return exit.code
    raise AssertionError("The command did not end.")
