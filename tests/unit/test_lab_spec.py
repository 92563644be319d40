"""Names, addresses, state and cuts of a lab."""

import ipaddress
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from lab import kernel, network, packet_loss, spec, ssh, words
from lab.backends.podman import Podman
from lab.cli import cli
from lab.core import Lab
from lab.errors import LabError, UnknownError
from lab.host import require


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(spec, "RUN", tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["", "1a", "Zk1", "a_b", "a.b", "a/b", "..", "-a", "host", "a" * 21, "a\n"])
def test_names_that_cannot_be_host_names_are_refused(name: str) -> None:
    with pytest.raises(UnknownError, match="lab"):
        spec.check_name("lab", name)


def test_addresses_are_given_in_order_and_links_are_short() -> None:
    lab = spec.Spec("a" * 20, "10.213.250.0/24")
    nodes = [lab.add(name, "trixie", "/i") for name in ("zk1", "zk2")]
    assert [node.address for node in nodes] == ["10.213.250.11", "10.213.250.12"]
    assert lab.gateway == "10.213.250.1"
    assert lab.hosts() == ["10.213.250.1 host", "10.213.250.11 zk1", "10.213.250.12 zk2"]
    assert len({node.mac for node in nodes}) == 2
    last = spec.Node("z", "10.213.250.254", "trixie", "/i", f"{lab.bridge}-254")
    assert max(len(lab.bridge), len(last.link)) <= 15  # what the kernel takes


def test_a_full_lab_says_so() -> None:
    lab = spec.Spec("full", "10.213.1.0/24")
    for number in range(244):
        lab.add(f"n{number}", "trixie", "/i")
    with pytest.raises(LabError, match="full"):
        lab.add("more", "trixie", "/i")


def test_a_labs_key_is_made_beside_what_a_killed_up_still_writes(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As ssh-keygen does, which asks before it overwrites."""
    private = run / "demo/id_ed25519"

    def keygen(path: Path, comment: str) -> None:
        private.write_text("the other's")
        with path.open("x") as file:
            file.write(comment)
        path.with_suffix(".pub").write_text(comment)

    monkeypatch.setattr(ssh, "_key", keygen)
    lab = spec.Spec("demo", "10.213.1.0/24")
    ssh.make_key(lab)
    assert private.read_text() == private.with_suffix(".pub").read_text() == "lab demo"
    private.with_suffix(".pub").unlink()  # killed before it was there
    ssh.make_key(lab)
    assert private.read_text() == private.with_suffix(".pub").read_text() == "lab demo"
    assert sorted(path.name for path in lab.run.iterdir()) == ["ctl", "id_ed25519", "id_ed25519.pub"]


def test_state_survives(run: Path) -> None:
    lab = spec.Spec("demo", "10.213.1.0/24", losses={("a", "b"): 100, ("b", "a"): 30}, full={"a": 0})
    lab.backend = "podman"
    lab.add("a", "trixie", "/x:/y")
    lab.save()
    assert spec.load("demo") == lab
    assert spec.labs() == [lab]
    assert [file.name for file in (run / "demo").iterdir()] == ["lab.json"]


@pytest.mark.usefixtures("run")
def test_the_lab_that_is_meant_if_none_is_named() -> None:
    assert spec.default_lab() == "lab"
    spec.Spec("one", "10.213.1.0/24").save()
    assert spec.default_lab() == "one"
    spec.Spec("two", "10.213.2.0/24").save()
    with pytest.raises(UnknownError, match=r"several labs are up: one, two; say which: lab --name one"):
        spec.default_lab()
    spec.Spec("lab", "10.213.3.0/24").save()
    assert spec.default_lab() == "lab"


@pytest.mark.usefixtures("run")
def test_a_command_means_the_only_lab_and_up_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAB", raising=False)
    meant: list[str] = []

    def note(lab: Lab, *_: object, **__: object) -> list[object]:
        meant.append(lab.name)
        return []

    for verb in ("status", "up"):
        monkeypatch.setattr(Lab, verb, note)
    monkeypatch.setattr(Lab, "nodes", {})
    spec.Spec("one", "10.213.1.0/24").save()
    for arguments in (["status"], ["--name", "other", "status"], ["up"]):
        CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert meant == ["one", "other", "lab"]
    spec.Spec("two", "10.213.2.0/24").save()
    assert CliRunner().invoke(cli, ["status", "--help"]).exit_code == 0


def test_an_unknown_lab_and_an_unknown_node(run: Path) -> None:
    assert spec.load("nope") is None
    with pytest.raises(LabError, match=r"no lab 'nope': lab --name nope up"):
        _ = Lab("nope").nodes
    spec.Spec("demo", "10.213.1.0/24").save()
    with pytest.raises(UnknownError, match="no node 'x'"):
        Lab("demo").state("x")
    assert run.exists()


def test_an_unknown_backend(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_BACKEND", "kvm")
    with pytest.raises(UnknownError, match="unknown backend 'kvm': one of nspawn, podman"):
        Lab("demo").up()
    assert not list(run.iterdir())


@given(st.text(st.sampled_from("abc"), min_size=1), st.sets(st.integers(0, 255), max_size=255))
def test_subnets_do_not_collide(name: str, taken: set[int]) -> None:
    others = [f"10.213.{third}.7/24" for third in taken] + ["10.0.0.0/8", "192.168.0.0/16"]
    subnet = spec.pick_subnet(name, others)
    assert ipaddress.IPv4Network(subnet).network_address.packed[2] not in taken
    assert subnet == spec.pick_subnet(name, others)


def test_no_subnet_left() -> None:
    with pytest.raises(LabError, match="no free network"):
        spec.pick_subnet("a", ["10.213.0.0/16"])


def test_cuts_both_ways_and_one_way() -> None:
    both = packet_loss.between({"a"}, {"b", "host"})
    assert both == {("a", "b"), ("b", "a"), ("a", "host"), ("host", "a")}
    assert packet_loss.between({"a"}, {"b"}, one_way=True) == {("a", "b")}
    assert packet_loss.between({"a", "b"}, {"a"}) == {("a", "b"), ("b", "a")}


def test_rules_of_cuts_and_losses() -> None:
    losses = {("a", "b"): 100, ("b", "host"): 100, ("host", "b"): 30}
    rules = packet_loss.render("t", {"a": "l-1", "b": "l-2"}, losses)
    assert "iifname l-1 oifname l-2 drop" in rules
    assert "iifname l-2 oifname l-1 drop" not in rules
    lines = [line.strip() for line in rules.splitlines()]
    inward = [line for line in lines if line.startswith("iifname l-2")]
    assert inward == [
        "iifname l-2 ether type arp accept",
        "iifname l-2 ip protocol tcp tcp sport 22 accept",
        "iifname l-2 drop",
    ]
    assert [line for line in lines if line.startswith("oifname l-2")] == [
        "oifname l-2 ether type arp accept",
        "oifname l-2 ip protocol tcp tcp dport 22 accept",
        "oifname l-2 numgen random mod 100 < 30 drop",
    ]
    assert lines[:2] == ["table bridge t {}", "delete table bridge t"]  # replaced whole, in one transaction


@given(st.integers(0, 1 << 50))
def test_sizes_read_as_they_are_written(number: int) -> None:
    assert words.bytes_of(words.size(number)) == number


def test_sizes() -> None:
    assert [words.bytes_of(size) for size in ("0", "512k", "10M", "1G")] == [0, 512 << 10, 10 << 20, 1 << 30]
    assert [words.size(number) for number in (1, 1023, 2048, 10 << 20)] == ["1", "1023", "2K", "10M"]


@pytest.mark.parametrize("size", ["", "M", "-1", "1.5G", "10MB", "10 M", "\u0663", "1T"])
def test_what_is_no_size(size: str) -> None:
    with pytest.raises(ValueError, match="such as 10M"):
        words.bytes_of(size)


def test_status_shows_all_faults() -> None:
    row = {
        "node": "a",
        "state": "running",
        "suite": "trixie",
        "address": "10.213.1.11",
        "pid": 7,
        "ssh": True,
    }
    faulty = {"cut_to": ["b", "c"], "cut_from": ["b"], "loss_to": {"d": 5}, "loss_from": {"d": 5, "e": 9}}
    _, line = words.table([{**row, **faulty, "disk_left": 10 << 20}])
    assert line.endswith("yes  <-/-> b, <-5%-> d, -/-> c, <-9%- e, disk full but for 10M")


def test_kernel_settings_are_raised_and_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    low, high = tmp_path / "low", tmp_path / "high"
    low.write_text("1\n")
    high.write_text("9\n")
    monkeypatch.setattr(kernel, "NEEDED", {low: 5, high: 5})
    monkeypatch.setattr(kernel, "RUN", tmp_path / "run")
    (tmp_path / "run").mkdir()
    kernel.raise_settings()
    kernel.raise_settings()
    assert (low.read_text(), high.read_text()) == ("5", "9\n")
    kernel.restore_settings()
    kernel.restore_settings()
    assert (low.read_text(), high.read_text()) == ("1\n", "9\n")
    assert not list((tmp_path / "run").iterdir())


def test_foreign_firewalls_are_noticed() -> None:
    drops = {"table": "filter", "hook": "forward", "policy": "drop"}
    chains = [
        {"family": "ip", "name": "FORWARD", **drops},
        {"family": "ip", "name": "INPUT", **drops, "hook": "input"},
        {"family": "inet", "name": "open", **drops, "policy": "accept"},
        {"family": "bridge", "name": "frames", **drops},
        {"family": "ip", "table": "mine", "name": "x"},
    ]
    listed = json.dumps({"nftables": [{"metainfo": {}}, *({"chain": chain} for chain in chains)]})
    assert network.barriers(listed) == ["ip filter FORWARD"]


def test_a_machine_that_cannot_serve_gets_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("shutil.which", lambda program: None if program in ("nft", "runc") else "/x")
    monkeypatch.setattr("lab.host.hierarchy", lambda: None)
    with pytest.raises(LabError) as error:
        require(Podman.PROGRAMS)
    text = str(error.value)
    for part in ("root", "cgroup2", "apt-get install nftables runc", "inventory/example"):
        assert part in text
    assert "\n" not in text
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    with pytest.raises(LabError, match="lacks: Linux"):
        require({})


def test_a_connection_is_shared_by_one_user_alone() -> None:
    """Else what another user starts within a minute of root's would run as root."""
    (path,) = [line for line in ssh._CONFIG.splitlines() if "ControlPath" in line]
    assert "%r" in path
