"""How the host's package sources become the nodes'."""

from pathlib import Path

import pytest

from lab import apt
from lab.errors import LabError

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
HOST = f"""# a comment
Types: deb deb-src
URIs: http://mirror.test/debian
Suites: bookworm bookworm-updates bookworm-backports
Components: main contrib
Signed-By: {KEYRING}

Enabled: no
Types: deb
URIs: http://off.test
Suites: bookworm
Components: main
"""
VENDORS = """deb [arch=amd64 signed-by=/etc/apt/keyrings/v.asc] https://vendor.test/debian bookworm stable
deb https://node.test/ nodistro main
deb http://pg.test bookworm-pgdg main
# deb http://mirror.test/debian bookworm main
deb-src http://mirror.test/debian bookworm main
"""


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    (tmp_path / "sources.list.d").mkdir()
    return tmp_path


def test_the_archive_is_kept_for_the_other_release(etc: Path) -> None:
    (etc / "sources.list.d" / "debian.sources").write_text(HOST)
    (etc / "sources.list").write_text("deb http://mirror.test/security bookworm-security  main # why\n")
    found = apt.sources("trixie", etc)
    assert found == [
        apt.Source("http://mirror.test/security", ("trixie-security",), "main"),
        apt.Source("http://mirror.test/debian", ("trixie", "trixie-updates"), "main contrib"),
    ]
    assert apt.parse_deb822(found[1].render()) == [found[1]]


def test_vendors_are_left_out(etc: Path) -> None:
    (etc / "sources.list.d" / "vendors.list").write_text(VENDORS)
    with pytest.raises(LabError, match="LAB_SOURCES"):
        apt.sources("trixie", etc)


def test_sources_may_be_given(etc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = etc / "mine.list"
    mine.write_text("deb [signed-by=/my.gpg] http://mirror.test/debian stable main\n")
    monkeypatch.setenv("LAB_SOURCES", str(mine))
    found = apt.sources("bookworm", etc)
    assert found == [apt.Source("http://mirror.test/debian", ("bookworm",), "main", "/my.gpg")]
    assert apt.keyrings(found) == [Path("/my.gpg")]


def test_embedded_keys_stay_whole() -> None:
    key = "\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQ\n -----END PGP PUBLIC KEY BLOCK-----"
    text = f"Types: deb\nURIs: http://m.test\nSuites: trixie\nComponents: main\nSigned-By:{key}\n"
    (source,) = apt.parse_deb822(text)
    assert source.signed_by == key
    assert apt.keyrings([source]) == []
    assert apt.parse_deb822(source.render()) == [source]


def test_only_the_way_to_packages_is_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    dump = """Acquire "";
Acquire::http "";
Acquire::http::Proxy "http://proxy.test:3142";
Acquire::Check-Valid-Until "false";
Acquire::Languages "none";
APT::Install-Recommends "0";
DPkg::Post-Invoke:: "rm -rf /";
"""
    monkeypatch.setattr(apt, "run", lambda _: dump)
    monkeypatch.setenv("http_proxy", "http://other.test")
    monkeypatch.setenv("https_proxy", "http://other.test")
    assert apt.transport().splitlines() == [
        'Acquire::http::Proxy "http://proxy.test:3142";',
        'Acquire::Check-Valid-Until "false";',
        'Acquire::https::Proxy "http://other.test";',
    ]
