"""mwapp acl: who may do what in the ensemble."""

from typing import TYPE_CHECKING, Any

import click

from mwapp.cli.options import client, option, servers_of
from mwapp.cli.output import show_json, table
from mwapp.cli.streams import show, tell
from mwapp.errors import BadInputError, RefusedError
from mwapp.zookeeper.acl import PRIVATE, Policy
from mwapp.zookeeper.acl import table as rights

if TYPE_CHECKING:
    from mwapp.zookeeper.apply_acl import Report
    from mwapp.zookeeper.tls import Tls

# So many of the znodes are named; the others are counted.
MOST_NAMED = 10


@click.command()
@click.argument("action", type=click.Choice(["show", "on", "off"]), default="show")
@option(
    "--master",
    multiple=True,
    metavar="NAME",
    key="acl_master",
    help="With on: a master. Repeat it for each master; the same holds for --node, --worker and --client.",
)
@option("--node", multiple=True, metavar="NAME", key="acl_node", help="With on: an equal peer.")
@option("--worker", multiple=True, metavar="NAME", key="acl_worker", help="With on: a worker.")
@option(
    "--client",
    multiple=True,
    metavar="NAME",
    key="acl_client",
    help="With on: the name in a client's certificate. Clients submit and cancel tasks.",
)
@option("--check", key="acl_check", is_flag=True, help="Only tell what would be changed.")
@option(
    "--quick",
    key="acl_quick",
    is_flag=True,
    help="With on: if nobody is added or removed, do not look at each task.",
)
@option("--keep", key="acl_keep", is_flag=True, help="With on: add those named, and remove nobody.")
@option("--if-on", key="acl_if_on", is_flag=True, help="With on: only if access control lists are in force.")
@client
def acl(
    action: str,
    acl_master: tuple[str, ...],
    acl_node: tuple[str, ...],
    acl_worker: tuple[str, ...],
    acl_client: tuple[str, ...],
    acl_check: bool,
    acl_quick: bool,
    acl_if_on: bool,
    acl_keep: bool,
    **settings: Any,
) -> None:
    """Show who may do what in the ensemble, or change it.

    ACTION is show, on (access control lists are in force) or off. The lists are by certificate, so the
    servers must have TLS. The certificate of a service must have the name mwapp-ROLE-NAME, such as
    mwapp-worker-mw1. The application may run meanwhile. Use the key of a master, for masters alone may
    change the lists.

    The role mwapp does this if mwapp_acl is set.

    A worker that on no longer names is struck off: its tasks go to others. A znode that another client owns
    (below /tasks, for example) causes only a warning, and the rest is done.

    Exit status: 0 the lists are shown, or as requested; 7 not permitted.

    \b
    Examples:
      mwapp acl
      mwapp acl on --tls-cert /etc/mwapp/tls/master.pem --master mm1 --master mm2 \\
          --worker mw1 --worker mw2 --client mwapp-cli-mm1
    """
    from mwapp.zookeeper.apply_acl import Lists  # seldom needed

    servers = servers_of(settings)
    wanted = Policy.of(acl_master, acl_node, acl_worker, acl_client)
    if action == "on":
        _check(wanted, servers.tls)
    with Lists(servers, settings["connect_timeout"], look_only=acl_check) as lists:
        if action == "on":
            report = lists.on(wanted, quick=acl_quick, if_on=acl_if_on, keep=acl_keep)
        else:
            report = lists.off() if action == "off" else lists.show()
    if settings["output"] == "json":
        _show_json(report)
    else:
        done = "would be set" if acl_check else "are others" if action == "show" else "were set"
        _show(report, done, whole=action == "show")
    _warn(report.foreign)
    if report.problems:
        raise RefusedError(f"{len(report.problems)} znodes are not as they should be; {report.problems[0]}")


def _check(wanted: Policy, tls: "Tls | None") -> None:
    if tls is None:
        raise BadInputError("--tls-ca: missing: access control lists are by certificate, so this needs TLS")
    if not wanted.masters:
        raise BadInputError(
            "--master: missing: nobody could assign tasks; name all masters (or nodes, by --node)"
        )
    if tls.subject not in wanted.masters:
        whose = tls.subject or "somebody with more in the subject than CN=NAME"
        raise BadInputError(
            f"--tls-cert: it is that of {whose}, and of none of the masters "
            f"({', '.join(wanted.masters)}): use the key of one, for they alone may change the lists later"
        )


def _show_json(report: "Report") -> None:
    policy = report.policy
    who: dict[str, Any] = {}
    if policy is not None:
        who = {"masters": policy.masters, "workers": dict(policy.workers), "clients": policy.clients}
    show_json(
        {
            "in_force": policy is not None,
            "changed": report.changed,
            "problems": report.problems,
            "foreign": report.foreign,
            **who,
        }
    )


def _show(report: "Report", done: str, *, whole: bool) -> None:
    """``done``: what became of those that changed. ``whole``: also who may do what."""
    policy = report.policy
    if policy is None:
        show("access control lists: none are in force, so everybody who may connect may do everything")
    else:
        unfinished = "" if policy.complete else ", but not yet for all that is there"
        show(f"access control lists: in force{unfinished}")
        if whole:
            _show_policy(policy)
    if report.changed:
        show(f"access control lists that {done}: {len(report.changed)}, of {_named(report.changed)}")


def _show_policy(policy: Policy) -> None:
    show("\n".join(table(("ZNODE", "MASTERS", "ITS WORKER", "WORKERS", "CLIENTS"), rights())))
    show("r read, w write, c create below, d delete below, a set lists; everybody may read everything, but")
    show(f"{PRIVATE}, which has secret values, only masters and workers may read; a client may create")
    show("below each task with secret values that it has submitted, so also forge how it ends")
    for kind, names in (
        ("masters", policy.masters),
        ("workers", [f"{name} ({who})" for name, who in policy.workers]),
        ("clients", policy.clients),
    ):
        show(f"{kind}: {', '.join(names) or '-'}")


def _warn(foreign: list[str]) -> None:
    for one in foreign[:MOST_NAMED]:
        tell(f"warning: {one}")
    if len(foreign) > MOST_NAMED:
        tell(f"warning: and {len(foreign) - MOST_NAMED} more")


def _named(paths: list[str]) -> str:
    rest = len(paths) - MOST_NAMED
    return ", ".join(paths[:MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")
