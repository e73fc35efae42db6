"""The group of all commands, and how a process runs them."""

import io
import os
import sys

import rich_click as click
from click.exceptions import NoArgsIsHelpError

from beex_keras._version import __version__
from beex_keras.cli.calibrate import calibrate
from beex_keras.cli.convert import convert
from beex_keras.cli.evaluate import evaluate
from beex_keras.cli.models import models
from beex_keras.cli.predict import predict
from beex_keras.cli.summary import summary
from beex_keras.cli.terminal import quiet_libraries
from beex_keras.cli.train import train
from beex_keras.errors import BeexError


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    invoke_without_command=True,
    no_args_is_help=True,
)
@click.option("--version", is_flag=True, help="Show the version and exit.")
@click.option("--verbose", is_flag=True, help="With --version, run the C engine's self-test, too.")
@click.pass_context
def app(context: click.Context, version: bool, verbose: bool) -> None:
    """Binarized early-exit transformers for text classification: train, convert, ship."""
    if version:
        click.echo(f"beex, version {__version__}")
        context.exit(_report_engine() if verbose else 0)
    if verbose:
        raise click.UsageError("--verbose only works with --version; add --version.")
    if context.invoked_subcommand is None:
        raise click.UsageError("A command is missing; 'beex --help' lists all commands.")


def _report_engine() -> int:
    """Prints how the C engine was built and what its self-test says; 1 if that fails."""
    from beex_keras.runtime import library

    compiler = library.load().beex_compiler().decode()
    click.echo(f"C engine: built by {compiler}, {library.path()}")
    results = library.self_test()
    for kernels, result in results.items():
        click.echo(f"kernels {kernels}: self-test {result}")
    return int(any(result != "passed" for result in results.values()))


for command in (train, calibrate, evaluate, predict, convert, summary, models):
    app.add_command(command)


def main(arguments: list[str] | None = None) -> None:
    """Runs `beex`; mistakes of the user end in one sentence on stderr and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # On Windows it is not UTF-8 by itself. JSON can hold half a character, which no UTF-8 has.
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    try:
        with quiet_libraries():
            code = app(args=arguments, prog_name="beex", standalone_mode=False)
    except NoArgsIsHelpError as error:
        click.echo(error.format_message())
        sys.exit(2)
    except click.ClickException as error:
        _fail(_sentence(error))
    except BeexError as error:
        _fail(str(error))
    except (BrokenPipeError, SystemExit) as error:
        _leave_quietly(error)
    except (KeyboardInterrupt, click.Abort):
        is_training = (sys.argv[1:] if arguments is None else arguments)[:1] == ["train"]
        rest = "; the same command continues the training" if is_training else ""
        click.echo(f"interrupted{rest}", err=True)
        sys.exit(130)
    except OSError as error:  # such as a full disk below our output
        if os.environ.get("BEEX_DEBUG") == "1":
            raise
        _fail(f"Cannot read or write {error.filename or 'the output'}: {error.strerror}.")
    sys.exit(code if isinstance(code, int) else 0)


def _sentence(error: click.ClickException) -> str:
    sentence = error.format_message()
    if isinstance(error, click.NoSuchOption) and error.ctx and error.ctx.command is predict:
        return f"{sentence} Put '--' before texts that begin with a dash."
    return sentence


def _leave_quietly(error: BaseException) -> None:
    """Ends where the reader of our output has gone (`beex predict … | head`); that is no mistake.

    Click makes an exit of such an error. Every other exit goes on.
    """
    if not isinstance(error, BrokenPipeError) and not isinstance(
        error.__context__, BrokenPipeError
    ):
        raise error
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(0)


def _fail(sentence: str) -> None:
    click.echo(f"error: {sentence}", err=True)
    sys.exit(2)
