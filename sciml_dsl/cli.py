"""`sciml-dsl check | fmt | code | solve | ensemble | fit | discover`: the command line.

Takes arguments, finds the command's module, and turns what happens into an
exit status: 0 it worked, 1 it ran and found no usable result, 2 the input is
wrong, 130 interrupted.  Errors of this package are printed without a
traceback, as one JSON object when `--json` was asked for.  Commands are
imported when called, so that `check` stays instant.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from . import __version__
from .errors import ModelError, SciMLError

COMMANDS = {
    "check": "Read a model and say what it is, or what to mend; warn of what looks wrong.",
    "fmt": "Lay out the text of models one way, in place.",
    "code": "Print a model as code of another language.",
    "solve": "Integrate a model in time.",
    "ensemble": "Integrate a model for many parameters and initial values.",
    "fit": "Estimate parameters and network weights from a table.",
    "discover": "Find formulas for the unknown terms of a model from a table.",
}


class Program(click.Group):
    """The group of commands; its `main` owns the exit status and the form of errors."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"sciml_dsl.commands.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        from .errors import suggest

        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            hint = suggest(args[0], COMMANDS) or f"commands are {', '.join(COMMANDS)}"
            raise click.UsageError(f"no such command `{args[0]}`\n  hint: {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> Any:
        """Run and leave the process with the exit status."""
        args = list(sys.argv[1:] if args is None else args) or ["--help"]
        extra["standalone_mode"] = False
        extra.setdefault("prog_name", "sciml-dsl")
        try:
            status = super().main(args, *rest, **extra)
        except click.exceptions.Abort:
            status = 130  # click turns KeyboardInterrupt into this
            click.echo("interrupted", err=True)
        except click.ClickException as error:
            status = 2
            _report(error, error.format_message(), args)
        except SciMLError as error:
            status = 2
            text = str(error)
            if isinstance(error, ModelError) and len(error.errors) > 1:
                text = text.replace("\n\n", "\n\nerror: ", len(error.errors) - 1)
            _report(error, text, args)
        except BrokenPipeError:
            # The reader has gone (`| head`); what is still buffered has nowhere to go.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            status = 1
        sys.exit(status if isinstance(status, int) else 0)


def _report(error: Exception, text: str, args: Sequence[str]) -> None:
    if "--json" not in args:
        click.echo(f"error: {text}", err=True)
        return
    from .commands.console import echo_json

    several = error.errors if isinstance(error, ModelError) else ()
    echo_json(
        {"error": _parts(error, text), **({"errors": [_parts(e, str(e)) for e in several]} if several[1:] else {})}
    )


def _parts(error: Exception, text: str) -> dict[str, Any]:
    """An error as JSON has it."""
    message, _, hint = text.partition("\n  hint: ")
    return {
        "type": type(error).__name__,
        "message": getattr(error, "message", None) or message,
        "file": getattr(error, "filename", None),
        "line": getattr(error, "line", None),
        "column": getattr(error, "column", None),
        "hint": getattr(error, "hint", None) or hint or None,
    }


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def main() -> None:
    """Equations with unknown terms in, formulas out.

    FILE is a model (.sciml); tables are CSV files with a column `t` and columns named like states or observables.
    """


if __name__ == "__main__":
    main()
