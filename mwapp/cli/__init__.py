"""The command line ``mwapp``."""

import sys
import traceback

import click

from mwapp.cli.completion import completion
from mwapp.cli.daemons import master, node, release, worker
from mwapp.cli.handlers import handlers
from mwapp.cli.status import status
from mwapp.cli.submit import submit
from mwapp.cli.tasks import tasks, workers
from mwapp.cli.wait import cancel, wait
from mwapp.errors import DEFECT, INTERRUPTED, MwappError

GROUPS = {
    "Tasks": (submit, wait, cancel),
    "Inspecting": (status, tasks, workers, handlers),
    "Daemons": (master, worker, node, release),
    "Shell": (completion,),
}


class _Cli(click.Group):
    """Lists its commands in groups."""

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        wide = max(map(len, self.commands))
        for title, commands in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(str(it.name).ljust(wide), it.get_short_help_str(66)) for it in commands])


@click.group(cls=_Cli, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="mwapp")
def cli() -> None:
    """A master/worker application coordinated by ZooKeeper.

    Clients submit shell commands as tasks. The active master assigns each task to a live worker. The worker
    runs it and records the result. If a process or host dies, no task is lost and none is recorded twice.

    \b
    Examples:
      mwapp submit --wait --show-output 'echo hello'
      mwapp status --watch
      mwapp submit --help

    Every option can also be set by the environment variable shown with it (MWAPP_...) or in the config file
    /etc/mwapp/mwapp.toml, where its key is the rest of that name in lower case.

    Exit status: 0 success, 1 a task failed, 2 bad input, 3 the ensemble cannot be reached, 4 no such
    task, 5 timed out, 6 too many tasks, 7 refused, 70 a defect in mwapp.
    """


for group in GROUPS.values():
    for command in group:
        cli.add_command(command)


def main() -> None:
    """Run the command line. Every user error ends in one line and a stable exit status."""
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
        _complain(_misplaced(problem) or f"{problem.format_message()} ({command} --help tells more)")
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


def _misplaced(problem: click.UsageError) -> str | None:
    """The message for a command's option that was written before the command."""
    if not isinstance(problem, click.NoSuchOption) or problem.ctx is None or problem.ctx.command is not cli:
        return None
    flag = problem.option_name
    having = [name for name, it in cli.commands.items() if any(flag in param.opts for param in it.params)]
    return f"{flag}: write it after the command: mwapp {having[0]} {flag} ..." if having else None


def _complain(message: str) -> None:
    print(f"mwapp: {message}", file=sys.stderr)
