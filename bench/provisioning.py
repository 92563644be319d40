"""How long three fresh hosts take to become an ensemble: playbooks/zookeeper.yml against a plain script.

The script makes nothing safe, so the playbook has a turn without (LAB_PLAIN), and one as everybody gets it.
"""

import os
from pathlib import Path

from bench.client import BenchError
from bench.plot import draw
from bench.report import Report, summary
from bench.site import fresh, playbook, run
from lab import Lab

HOSTS = ["zk1", "zk2", "zk3"]
# The packet filter looks up the names of these, too.
CLIENTS = ["mw1", "mw2", "mw3"]
SCRIPT = Path(__file__).with_name("plain.sh")


def measure(rounds: int) -> Report:
    """Both in turn, each on hosts of its own; a round more, for what is downloaded once."""
    report = Report("provisioning", rounds=rounds, hosts=len(HOSTS))
    name = f"{os.environ.get('LAB') or 'lab'}-bench"
    results = []
    for number in range(rounds + 1):
        with fresh(name, HOSTS) as lab:
            plain = run([str(SCRIPT), f"/run/zklab/{lab.name}/ssh_config", *HOSTS], {})
            _verify(lab)
        with fresh(name, HOSTS) as lab:
            cold = playbook("zookeeper", lab.name, LAB_PLAIN="true")
            _verify(lab)
            warm = playbook("zookeeper", lab.name, LAB_PLAIN="true")
        with fresh(name, HOSTS + CLIENTS) as lab:
            safe = playbook("zookeeper", lab.name, LAB_PLAIN="false")
            _verify(lab)
        if number:
            results.append((plain, cold, warm, safe))
            took = f"script {plain:.1f} s, cold {cold:.1f} s, warm {warm:.1f} s, safe {safe:.1f} s"
            print(f"round {number}: {took}", flush=True)
    plains, colds, warms, safes = (list(column) for column in zip(*results, strict=True))
    ratios = [cold / plain for plain, cold, _, _ in results]
    safe_ratios = [safe / cold for _, cold, _, safe in results]
    values = {
        "plain script": plains,
        "site.yml, cold": colds,
        "site.yml, warm": warms,
        "site.yml, cold and safe": safes,
    }
    draw("provisioning", "Three ZooKeeper hosts", "s", values)
    report.add(
        unit="s",
        script=summary(plains),
        cold=summary(colds),
        warm=summary(warms),
        cold_ratio=summary(ratios, 2),
        safe=summary(safes),
        safe_ratio=summary(safe_ratios, 2),
        values=values,
    )
    print(
        f"median: script {summary(plains)['p50']} s, cold {summary(colds)['p50']} s "
        f"({summary(ratios, 2)['p50']} times the script), warm {summary(warms)['p50']} s, "
        f"safe {summary(safes)['p50']} s ({summary(safe_ratios, 2)['p50']} times cold)"
    )
    return report


def _verify(lab: Lab) -> None:
    """Three servers, one of them leading: or something else was measured."""
    modes = []
    for host in HOSTS:
        ask = "exec 3<>/dev/tcp/127.0.0.1/2181; echo srvr >&3; sed -n 's/^Mode: //p' <&3"
        modes.append(lab.exec(host, ["bash", "-c", ask], check=True).stdout.strip())
    if sorted(modes) != ["follower", "follower", "leader"]:
        raise BenchError(f"no ensemble: {modes}")
