"""The command line ``mwapp``."""

import gc
import sys
from importlib import import_module

import click

from mwapp.cli.signals import EndedError
from mwapp.cli.streams import lose, lost, tell
from mwapp.errors import DEFECT, INTERRUPTED, OK, UNWRITTEN, MwappError

# The commands, the module that has each, and what it does: the first sentence of its own help. A module is
# imported when its command is used, because all of them take three times as long as one.
GROUPS = {
    "Tasks": {
        "submit": ("submit", "Submit each COMMAND as a separate task and print the tasks' names."),
        "wait": ("wait", "Wait until each TASK has ended and show its result."),
        "cancel": ("cancel", "Cancel each TASK, wait until it has ended, and show its result."),
        "rerun": ("rerun", "Run each finished TASK again."),
        "remove": ("rerun", "Remove each finished TASK and its result."),
    },
    "Shards": {
        "shards": ("shards", "Shards: assignments that last, each with one fenced owner."),
    },
    "Inspecting": {
        "status": ("status", "Show the whole system on one screen, with warnings."),
        "tasks": ("tasks", "List all tasks, or each TASK, in the order of submission."),
        "workers": ("tasks", "List workers: those alive, and those gone that still hold tasks."),
        "handlers": ("handlers", "List the handlers of this installation."),
        "acl": ("acl", "Show who may do what in the ensemble, or change it."),
    },
    "Daemons": {
        "master": ("daemons", "Run a master: the active one assigns tasks to workers."),
        "worker": ("daemons", "Run a worker: it runs the tasks that the master assigns to it."),
        "node": ("daemons", "Run a node: an equal peer that is either master or worker."),
        "release": ("daemons", "End the session of a daemon that was killed."),
    },
    "Shell": {
        "completion": ("completion", "Print a script that adds completion to SHELL."),
    },
}
MODULES = {name: module for commands in GROUPS.values() for name, (module, _) in commands.items()}

# Python looks for cycles of garbage whenever this many more objects were created than dropped. A busy turn of
# the main loop creates many that the next one drops, none of them in a cycle. With the default of 700 that
# costs a tenth of our time. A program that has a client decides for itself.
GARBAGE = 20_000


class _Cli(click.Group):
    """Imports a command when it is used, and lists all in groups."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(MODULES)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        if name not in MODULES:
            return None
        command: click.Command = getattr(import_module(f"mwapp.cli.{MODULES[name]}"), name)
        return command

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        wide = max(map(len, MODULES))
        for title, commands in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(wide), what) for name, (_, what) in commands.items()])


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
    task, 5 timed out, 6 too many tasks, 7 refused, 70 a defect in mwapp, 74 standard output cannot be
    written, 129 SIGHUP, 130 interrupted from the keyboard, 143 SIGTERM.
    """


def main() -> None:
    """Run the command line. Every user error ends in one line and a stable exit status."""
    gc.set_threshold(GARBAGE)
    try:
        sys.exit(run(sys.argv[1:]))
    finally:
        gc.freeze()  # or Python looks for garbage at its end, which takes a tenth of a short command


def run(arguments: list[str]) -> int:
    """Run with these arguments; returns the exit status (see :mod:`mwapp.errors`)."""
    try:
        status = cli.main(arguments, prog_name="mwapp", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as help_:
        help_.show()
        return help_.exit_code
    except click.UsageError as problem:
        command = problem.ctx.command_path if problem.ctx else "mwapp"
        tell(_misplaced(problem) or f"{problem.format_message()} ({command} --help tells more)")
        return problem.exit_code
    except click.ClickException as problem:
        tell(problem.format_message())
        return problem.exit_code
    except MwappError as problem:
        tell(str(problem))
        return problem.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except EndedError as ended:
        return ended.exit_code
    except Exception as problem:
        if isinstance(problem, OSError) and _raised_in(problem) == "click.utils":  # help, or the version
            lose(problem)
            return UNWRITTEN
        import traceback  # seldom needed

        traceback.print_exc()
        return DEFECT
    status = status if isinstance(status, int) else OK
    return UNWRITTEN if status == OK and lost() else status


def _raised_in(problem: Exception) -> object:
    """The name of the module."""
    trace = problem.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace and trace.tb_frame.f_globals.get("__name__")


def _misplaced(problem: click.UsageError) -> str | None:
    """The message for a command's option that was written before the command."""
    if not isinstance(problem, click.NoSuchOption) or problem.ctx is None or problem.ctx.command is not cli:
        return None
    flag = problem.option_name
    commands = {name: cli.get_command(problem.ctx, name) for name in MODULES}
    having = [n for n, it in commands.items() if it and any(flag in param.opts for param in it.params)]
    return f"{flag}: write it after the command: mwapp {having[0]} {flag} ..." if having else None
