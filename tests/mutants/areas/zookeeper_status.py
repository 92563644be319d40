"""What status.yml shows: the module zookeeper_status, and the filters that make the report and the table."""

from functools import partial

from tests.mutants.killers import pytest
from tests.mutants.mutant import Mutant

KILLERS = (pytest("tests/unit/test_zookeeper_status.py", "tests/unit/test_status.py"),)

status = partial(Mutant, "roles/zookeeper/library/zookeeper_status.py")
report = partial(Mutant, "playbooks/filter_plugins/status_report.py")

MUTANTS = [
    status(
        "in_force(running, on_disk)",
        "in_force(on_disk, running)",
        "the disk of another directory is shown",
    ),
    status("in_force(running, on_disk)", "in_force(running)", "of a stopped server the disk is not shown"),
    status(
        'plan.get("dataLogDir", plan["dataDir"])',
        'plan["dataDir"]',
        "before the first start, another directory",
    ),
    status("disk(txnlog_dir)", "disk(data_dir)", "a full log is not seen"),
    status('("srvr", "mntr"))', '("mntr", "srvr"))', "every server serves nobody"),
    status('if result["server"]:', "if True:", "one that serves nobody has a zxid"),
    status("zxid[1] if zxid else None", "zxid[1]", "what answers oddly ends the playbook"),
    status("except OSError as error:", "except ConnectionRefusedError as error:", "a frozen server ends it"),
    status("error.strerror or str(error)", "error.strerror", "a server that is silent gives no reason"),
    status("ask(me, word, ANSWER_SECONDS)", "ask(me, word, 60)", "a frozen server holds the playbook up"),
    status("supports_check_mode=True", "supports_check_mode=False", "check mode sees nothing"),
    status("changed=False,", 'changed="error" in result,', "looking changes something"),
    status(
        "config=differences(wanted, on_disk, running)",
        "config=differences(wanted, running, on_disk)",
        "swapped",
    ),
    status('if "server_state" not in said:', "if not said:", "what answers something is a server"),
    status("millis // 1000", "millis", "a thousand times the time"),
    status(
        ".st_blocks * BLOCK",
        ".st_size",
        "sparse files of the log take what they do not",
    ),
    status("BLOCK = 512", "BLOCK = 4096", "eight times the space"),
    status(
        "room.f_bavail",
        "room.f_bfree",
        equivalent="root alone can have the difference, and the tests' disk has none",
    ),
    status("room.f_bavail * room.f_frsize", "room.f_bavail", "free space in blocks"),
    status("round(value, 2)", "int(value)", "no fractions"),
    status("except FileNotFoundError:  # purged", "except PermissionError:  # purged", "a purge ends it"),
    status("except (KeyError, ValueError):", "except KeyError:", "NaN, or what is no number, ends it"),
    status(
        "for name, text in texts.items() if text is not None}",
        "for name, text in texts.items() if text}",
        "an emptied file differs in nothing",
    ),
    status("}) > 1", "}) > 2", "two of three that differ pass"),
]
