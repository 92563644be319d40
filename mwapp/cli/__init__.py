"""The command line ``mwapp``."""

import sys
import traceback

import click

from mwapp.cli.daemons import master, release, worker
from mwapp.cli.handlers import handlers
from mwapp.cli.look import status, workers
from mwapp.cli.tasks import submit, tasks, wait
from mwapp.errors import DEFECT, INTERRUPTED, MwappError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="mwapp")
def cli() -> None:
    """A master/worker application coordinated by ZooKeeper.

    Clients submit shell commands as tasks; the active master assigns each to a live worker; the worker
    runs it and records how it ended. Whatever process or host dies, no task is lost and none ends twice.

    Every option is also an environment variable (MWAPP_...) and a key of the config file. Exit status:
    0 it worked, 1 a task failed, 2 bad input, 3 the ensemble cannot be reached, 4 no such task,
    5 time-out, 7 refused by the ensemble, 70 a defect in mwapp.
    """


for command in (master, worker, submit, wait, tasks, workers, status, handlers, release):
    cli.add_command(command)


def main() -> None:
    """Run the command line; every problem of the user's ends in one line and a stable exit status."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run with these arguments; returns the exit status (see :mod:`mwapp.errors`)."""
    try:
        status = cli.main(arguments, prog_name="mwapp", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as help_:
        help_.show()
        return help_.exit_code
    except click.UsageError as problem:
        command = problem.ctx.command_path if problem.ctx else "mwapp"
        _complain(f"{problem.format_message()} ({command} --help tells more)")
        return problem.exit_code
    except click.ClickException as problem:
        _complain(problem.format_message())
        return problem.exit_code
    except MwappError as problem:
        _complain(str(problem))
        return problem.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except Exception:
        traceback.print_exc()
        return DEFECT
    return status if isinstance(status, int) else 0


def _complain(message: str) -> None:
    print(f"mwapp: {message}", file=sys.stderr)
