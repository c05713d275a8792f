"""``prensa``: the commands, and how every one of them fails.

Results go to stdout, progress and errors to stderr. Exit codes: 0 done, 1 done and the budget not held, 2
not done and one line on stderr that says why.
"""

from __future__ import annotations

import io
import signal
import sys
from typing import Annotated, NoReturn

import typer

from prensa.cli.compress import compress
from prensa.cli.demo import demo
from prensa.cli.evaluate import evaluate
from prensa.cli.inspect import inspect
from prensa.cli.report import report
from prensa.errors import PrensaError

FAILED = 2
_OUT_OF_MEMORY = "out of memory; nothing was changed"
_OUT_OF_MEMORY_WORDS = ("allocate memory", "out of memory")  # how PyTorch says it
_INTERRUPTED = 130  # what typer makes of Ctrl-C

app = typer.Typer(
    name="prensa",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def prensa(
    context: typer.Context,
    *,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    """Press a Hugging Face Transformer to a smaller model that still loads."""
    if version:
        from prensa.version import VERSION

        typer.echo(VERSION)
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


app.command()(compress)
app.command()(inspect)
app.command()(evaluate)
app.command()(report)
app.command()(demo)


def main() -> NoReturn:
    """Run the command line and exit."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that knows no × or – must not fail at the end
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # clean up as after Ctrl-C
    try:
        code = app(standalone_mode=False)
    except PrensaError as error:
        _fail(str(error))
    except typer.TyperException as error:
        _fail(error.format_message())
    except OSError as error:
        _fail(str(error))
    except MemoryError:
        _fail(_OUT_OF_MEMORY)
    except RuntimeError as error:
        if not any(words in str(error) for words in _OUT_OF_MEMORY_WORDS):
            raise
        _fail(_OUT_OF_MEMORY)
    except KeyboardInterrupt:
        code = _INTERRUPTED
    if code == _INTERRUPTED:
        _fail("interrupted; nothing was changed")
    sys.exit(code or 0)


def _fail(message: str) -> NoReturn:
    line = " ".join(message.split())
    sys.stderr.write(f"prensa: error: {line}\n")
    sys.exit(FAILED)
