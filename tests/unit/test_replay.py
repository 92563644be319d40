"""Whether what a server shows is taken for what the logs say."""

from kazoo.protocol.states import ZnodeStat

from tests.integration.replay import Shown, differences
from tests.simulation.tree import Change, Changed, Created, Deleted, Tree

UNTIL = 5
STAT = dict.fromkeys(ZnodeStat._fields, 0)


def tree() -> Tree:
    tree = Tree()
    changes: list[Change] = [Created("/app", b"", 0), Created("/app/a", b"1", 7), Created("/app/b", b"", 0)]
    changes += [Changed("/app/a", b"2"), Deleted("/app/b")]
    for zxid, change in enumerate(changes, 1):
        tree.apply(change, zxid, 0.0)
    return tree


def shown(**nodes: Shown) -> dict[str, Shown]:
    app = ZnodeStat(**STAT | {"czxid": 1, "mzxid": 1})
    a = ZnodeStat(**STAT | {"czxid": 2, "mzxid": 4, "version": 1, "ephemeralOwner": 7})
    now = {
        "app": Shown(b"", app, {"a"}, app._replace(cversion=3, pzxid=5)),
        "a": Shown(b"2", a, set(), a._replace(pzxid=2)),
    } | nodes
    paths = {"app": "/app", "a": "/app/a", "c": "/app/c"}
    return {paths[name]: node for name, node in now.items()}


def test_what_is_as_in_the_logs() -> None:
    assert differences(shown(), tree(), UNTIL) == {}


def test_data_or_who_owns_it() -> None:
    a = shown()["/app/a"]
    for other in (
        a._replace(data=b"1"),
        a._replace(of_data=a.of_data._replace(version=2)),
        a._replace(of_data=a.of_data._replace(czxid=3)),
        a._replace(of_data=a.of_data._replace(ephemeralOwner=0)),
    ):
        assert list(differences(shown(a=other), tree(), UNTIL)) == ["/app/a"]


def test_children() -> None:
    app = shown()["/app"]
    for other in (
        app._replace(children=set()),
        app._replace(children={"a", "c"}),
        app._replace(of_children=app.of_children._replace(cversion=4)),  # one came and went
    ):
        assert list(differences(shown(app=other), tree(), UNTIL)) == ["/app"]


def test_one_that_is_not_in_the_logs() -> None:
    old = shown()["/app/a"]
    assert list(differences(shown(c=old), tree(), UNTIL)) == ["/app/c"]


def test_what_has_changed_since() -> None:
    app, a = shown()["/app"], shown()["/app/a"]
    later = app._replace(children={"c"}, of_children=app.of_children._replace(cversion=6, pzxid=6))
    changed = a._replace(data=b"3", of_data=a.of_data._replace(version=2, mzxid=6))
    new = Shown(b"", a.of_data._replace(czxid=6, mzxid=6), set(), a.of_data._replace(pzxid=6))
    assert differences(shown(app=later, a=changed, c=new), tree(), UNTIL) == {}
