"""Which classes jars have."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from tests.unit.zookeeper_role import load

jars = load("zookeeper_jars")


def jar(path: Path, *classes: str, refers: str = "") -> Path:
    """A jar of these classes, whose manifest names others."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as file:
        if refers:
            file.writestr(
                "META-INF/MANIFEST.MF", f"Manifest-Version: 1.0\r\nClass-Path: {refers}\r\nA: b\r\n"
            )
        for name in classes:
            file.writestr(f"{name.replace('.', '/')}.class", b"")
    return path


def test_which_keys_name_classes() -> None:
    config = {"metricsProvider.className": "a.B ", "metricsProvider.httpPort": 7000}
    config |= {"authProvider.sasl": "a.C", "tickTime": 2000}
    assert jars.named(config) == {"metricsProvider.className": "a.B", "authProvider.sasl": "a.C"}


def test_what_no_jar_has_is_told(tmp_path: Path) -> None:
    classpath = f"{jar(tmp_path / 'a.jar', 'x.A')}:{tmp_path}/missing.jar"
    assert jars.lacking({"one": "x.A", "two": "x.B"}, classpath) == {"two": "x.B"}
    assert jars.lacking({"one": "x.A"}, classpath) == {}


def test_what_a_class_mentions(tmp_path: Path) -> None:
    """The first jar that has it counts, as for Java."""
    for name, content in {"a.jar": b"..a.key..", "b.jar": b"..b.key.."}.items():
        with zipfile.ZipFile(tmp_path / name, "w") as file:
            file.writestr("x/A.class", content)
    jar(tmp_path / "0.jar", "x.B")
    assert jars.mentions("x.A", "a.key", f"{tmp_path}/*")
    assert not jars.mentions("x.A", "b.key", f"{tmp_path}/*")
    assert jars.mentions("x.A", "b.key", f"{tmp_path}/b.jar:{tmp_path}/a.jar")
    assert not jars.mentions("x.C", "a.key", f"{tmp_path}/*")
    assert not jars.mentions("x.A", "a.key", f"{tmp_path}/missing.jar")


def test_without_jars_nothing_is_known(tmp_path: Path) -> None:
    assert jars.lacking({"one": "x.A"}, f"{tmp_path}/a.jar:{tmp_path}/lib/*") is None


def test_a_star_is_all_jars_of_a_directory(tmp_path: Path) -> None:
    jar(tmp_path / "lib/a.jar", "x.A")
    jar(tmp_path / "lib/b.jar", "x.B")
    (tmp_path / "lib/broken.jar").write_text("cut short")
    assert jars.lacking({"one": "x.A", "two": "x.B", "three": "x.C"}, f"{tmp_path}/lib/*") == {"three": "x.C"}


@pytest.mark.parametrize("refers", ["b.jar c.jar", "b.jar \r\n c.jar", "file:{}/b.jar {}/c.jar"])
def test_a_jar_may_name_others(refers: str, tmp_path: Path) -> None:
    """Debian's zookeeper.jar does; and jars may name each other."""
    jar(tmp_path / "a.jar", refers=refers.replace("{}", str(tmp_path)))
    jar(tmp_path / "b.jar", "x.B", refers="a.jar")
    jar(tmp_path / "c.jar", "x.C")
    assert jars.lacking({"one": "x.B", "two": "x.C"}, f"{tmp_path}/a.jar") == {}
