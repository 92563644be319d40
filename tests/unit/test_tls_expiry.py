"""When certificates end, and what is said of it: on hosts, in the report of status.yml, by mwapp."""

from __future__ import annotations

import ssl
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from mwapp.status.health import System
from mwapp.zookeeper.tls import Tls
from testbed.tls_files import DAY, Maker, now, pem, without_version, write
from tests.unit.test_status import GROUPS, found
from tests.unit.test_status import report as status_report
from tests.unit.zookeeper_role import load

expiry = load("tls_expiry")
__all__ = ["found"]  # a fixture

CA, LEAF = "/etc/zookeeper/tls/client-ca.pem", "/etc/zookeeper/tls/client.pem"


def test_a_file_ends_with_the_first_of_its_certificates_to_end(tmp_path: Path) -> None:
    ca = Maker(ends=40 * DAY)
    chain = ca.pair("zk1", ends=90 * DAY) + pem(ca.certificate)
    leaf = write(tmp_path / "leaf.pem", chain)
    old = write(tmp_path / "old.pem", ca.pair("old", ends=-DAY / 2))
    none = write(tmp_path / "none.pem", b"nothing")
    rows = expiry.look(map(str, (leaf, old, none, tmp_path / "no/file.pem")), now())
    assert rows == [
        {"path": str(leaf), "ends": f"{now() + 40 * DAY:%Y-%m-%d}", "days": rows[0]["days"]},
        {"path": str(old), "ends": f"{now() - DAY / 2:%Y-%m-%d}", "days": -1},
    ]
    assert rows[0]["days"] in (39, 40)


def test_times_of_both_forms_and_certificates_that_are_damaged() -> None:
    """From 2050 on times have another form."""
    far, near = Maker(ends=20_000 * DAY), Maker()
    text = (pem(far.certificate) + pem(near.certificate)).decode()
    assert expiry.endings(text) == [one.certificate.not_valid_after_utc for one in (far, near)]
    first = ssl.DER_cert_to_PEM_cert(without_version(near.certificate.public_bytes(Encoding.DER)))
    assert expiry.endings(first) == [near.certificate.not_valid_after_utc]
    assert expiry.endings(text.replace("MII", "!!!", 1)) == [near.certificate.not_valid_after_utc]
    assert expiry.endings("-----BEGIN CERTIFICATE-----MAA=-----END CERTIFICATE-----") == []


def test_what_is_due_is_told_once_with_its_remedy() -> None:
    def row(path: str, days: int) -> dict[str, Any]:
        return {"path": path, "ends": "2030-01-02", "days": days}

    leaf, ca = row(LEAF, 29), row(CA, -3)
    assert expiry.due({"zk1": [leaf, ca], "zk2": [leaf, row(CA, 30)]}, 30) == [
        f"zk1: {CA} expired on 2030-01-02: run playbooks/tls_rotate.yml (one that you brought: 'To change a "
        "CA' in the README of the role)",
        f"zk1, zk2: {LEAF} expires on 2030-01-02, in 29 days: run site.yml, which renews it (put a new one "
        "into zookeeper_tls_dir before, if you bring your own)",
    ]


@pytest.mark.parametrize(("days", "warn", "said"), [(20, 30, True), (40, 30, False), (40, 50, True)])
def test_status_warns_of_servers_and_services(
    found: dict[str, dict[str, Any]], days: int, warn: int, said: bool
) -> None:
    row = {"path": LEAF, "ends": "2030-01-02", "days": days}
    found["zk2"]["__zookeeper_status"] |= {"certificates": [row], "warn_days": warn}
    master = found["mw1"]["__mwapp_status"]["results"][0]["json"]
    master["certificate_ends"] = (now() + days * DAY + timedelta(hours=1)).isoformat()
    made = status_report.status_report(list(found), found, GROUPS)
    assert made["ok"], "it is no problem yet"
    texts = made["ensemble"]["warnings"] + made["application"]["warnings"]
    assert len(texts) == 2 * said
    if said:
        assert texts[0].startswith(f"zk2: {LEAF} expires on 2030-01-02, in {days} days: run site.yml")
        assert texts[1].startswith("master on mw1: its certificate expires on ")
    assert all(text in status_report.status_table(made) for text in texts)
    rows = {row["host"]: row["certificates"] for row in made["ensemble"]["servers"]}
    assert (rows["zk1"], rows["zk2"]) == ([], [row])
    assert made["application"]["services"][0]["certificate_ends"] == master["certificate_ends"]


@pytest.mark.parametrize(("days", "said"), [(29, True), (31, False)])
def test_mwapp_warns_of_its_own(tmp_path: Path, days: int, said: bool) -> None:
    ca = Maker()
    own = write(tmp_path / "own.pem", ca.pair("me", ends=days * DAY + timedelta(hours=1)))
    tls = Tls(str(write(tmp_path / "ca.pem", pem(ca.certificate))), str(own))
    assert tls.ends is not None
    warning = tls.ending()
    assert (warning is not None) == said
    if warning:
        assert warning.startswith(
            f"the certificate in {own} (--tls-cert) expires on {tls.ends:%Y-%m-%d}, in 29 days"
        )
        assert warning in System([], certificate=warning).warnings()
