"""mwapp handlers."""

import inspect

import click

from mwapp.cli.options import option
from mwapp.cli.output import show_json, show_table
from mwapp.handlers import offered, origin


@click.command()
@option(
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    help="A table for people, JSON for programs.",
)
def handlers(output: str) -> None:
    """List the handlers of this installation.

    A handler is a Python function that a task runs instead of a shell command. Handlers are the entry
    points of group mwapp.handlers in the distributions that are installed beside mwapp.
    """
    found = _handlers()
    if output == "json":
        show_json(found)
    else:
        show_table(
            ("HANDLER", "MODULE", "DISTRIBUTION", "DESCRIPTION"),
            [
                (it["handler"], it["module"], it["distribution"], it["problem"] or it["description"])
                for it in found
            ],
        )


def _handlers() -> list[dict[str, str | None]]:
    found = []
    for name, points in offered().items():
        for point in points:
            description, problem = None, None
            try:
                description = (inspect.getdoc(point.load()) or "").partition("\n")[0] or None
            except (Exception, SystemExit) as error:  # whatever its module does, list the others
                problem = f"cannot be loaded: {type(error).__name__}: {error}"
            if len(points) > 1:
                problem = "cannot be used: several distributions offer it"
            found.append(
                {
                    "handler": name,
                    "module": point.value,
                    "distribution": origin(point),
                    "description": description,
                    "problem": problem,
                }
            )
    return found
