"""``prensa``: the commands.

Results go to stdout, progress and errors to stderr. Exit codes: 0 done, 1 done and the budget not held, 2
not done and one line on stderr that says why.
"""

from __future__ import annotations

import sys
from typing import Annotated, NoReturn

import typer

from prensa.cli.compress import compress
from prensa.cli.demo import demo
from prensa.cli.evaluate import evaluate
from prensa.cli.export import export
from prensa.cli.frontier import frontier
from prensa.cli.guard import FAILED, guarded, interrupted
from prensa.cli.inspect import inspect
from prensa.cli.options import with_usual_values
from prensa.cli.predict import predict
from prensa.cli.report import report
from prensa.cli.serve import serve

PROGRAM = "prensa"
_INTERRUPTED = 130  # what typer makes of Ctrl-C

app = typer.Typer(
    name=PROGRAM,
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
app.command()(frontier)
app.command()(export)
app.command()(predict)
app.command()(serve)
app.command()(demo)


def main() -> NoReturn:
    """Run the command line and exit."""
    code = guarded(PROGRAM, _run)
    if code == _INTERRUPTED:
        interrupted(PROGRAM)
    sys.exit(code or 0)


def _run() -> int | None:
    try:
        code: int | None = app(args=with_usual_values(sys.argv[1:]), standalone_mode=False)
    except SystemExit:  # rich ends the process with 1, which means something else here, if stdout is closed
        return FAILED
    return code
