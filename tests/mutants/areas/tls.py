"""TLS: certificates on the controller, how servers are asked, and how mwapp connects."""

from functools import partial

from tests.mutants.killers import pytest
from tests.mutants.mutant import Mutant

KILLERS = (
    pytest("tests/unit/test_tls_certificates.py"),
    pytest(
        "tests/unit/test_zookeeper_tls.py",
        "tests/unit/test_zk_tls.py",
        "tests/unit/test_zookeeper_preflight.py",
        "tests/unit/test_tls_expiry.py",
    ),
)

store = partial(Mutant, "plugins/module_utils/tls_certificates.py")
module = partial(Mutant, "plugins/modules/tls_certificates.py")
wanted = partial(Mutant, "plugins/filter/zookeeper_tls.py")
health = partial(Mutant, "plugins/module_utils/zookeeper_health.py")
expiry = partial(Mutant, "plugins/module_utils/tls_expiry.py")
preflight = partial(Mutant, "plugins/modules/zookeeper_preflight.py")
tls = partial(Mutant, "mwapp/zookeeper/tls.py")
connection = partial(Mutant, "mwapp/zookeeper/connection.py")

MUTANTS = [
    # ------------------------------------------------------------ what the controller makes
    store("if self.problems or self._check:", "if self._check:", "what is refused is made all the same"),
    store("if self.problems or self._check:", "if self.problems:", "check mode makes files"),
    store(
        "READABLE_BY_OTHERS = 0o077", "READABLE_BY_OTHERS = 0o007", "a key that the group can read is used"
    ),
    store("if ENCRYPTED.search(content):", "if False:", "a key with a password is called damaged"),
    store("if PKCS8 not in content:", "if False:", "a server dies of a key that it cannot read"),
    store("if _public(key) == _public(chain[0]):", "if True:", "a key of another certificate is placed"),
    store("pairwise(chain)", "pairwise(chain[:1])", "a chain with a stranger in it is placed"),
    store(
        "if not any(_issued(chain[-1], ca) or chain[-1] == ca for ca in authority.certificates):",
        "if False:",
        "certificates of another CA are placed",
    ),
    store("if ends <= self._now:", "if False:", "an expired one that was brought is placed", at="Store._due"),
    store("if lacks:", "if False:", "a host has a certificate without its name"),
    store("if missing:", "if False:", "a server has a certificate that is for clients only"),
    store(
        "if not _issued(certificate, authority.certificates[0]):",
        "if False:",
        "after a change of the CA the old ones stay",
    ),
    store(
        "if ends - self._now < self._renew and ends <", "if ends <", "each run renews all", at="Store._due"
    ),
    store(
        "(here[0] not in there or there[0] not in here)",
        "here[0] not in there",
        "certificates of running servers are no longer accepted by those that restarted",
    ),
    store(
        "(here[0] not in there or there[0] not in here)",
        "there[0] not in here",
        "running servers do not accept those that restarted",
    ),
    store(
        'elif leaves := sorted((self.directory / ca).glob("*.pem")):',
        "elif leaves := []:",
        "a CA that is missing is made anew, and all certificates with it",
    ),
    store("certificate.not_valid_before_utc > self._now", "False", "what is not valid yet is placed"),
    store(
        "chain = [certificate] if _issued(ca, ca) else [certificate, ca]",
        "chain = [certificate]",
        "what leads to the root is missing",
    ),
    store(
        '[("server", ExtendedKeyUsageOID.SERVER_AUTH)] if wanted.hosts else []',
        '[("server", ExtendedKeyUsageOID.SERVER_AUTH)]',
        "a client can pass for a server",
    ),
    module("CLOCK_SECONDS = 900", "CLOCK_SECONDS = 9000", "a clock that is an hour off goes unnoticed"),
    module("        directory.chmod(OWNER_ONLY)\n", "        pass\n", "others can enter the directory"),
    module(
        '"make_ca": {"type": "bool", "default": True}',
        '"make_ca": {"type": "bool", "default": False}',
        "nobody makes the CAs",
    ),
    # ------------------------------------------------------------ what the role asks for
    wanted(
        'if member["name"] in play_hosts\n',
        "",
        "hosts that --limit leaves out get certificates they never see",
    ),
    wanted('*found["addresses"], *more]', "*more]", "servers refuse each other by their addresses"),
    wanted('found.get("speaks") == other', 'found["speaks"] == other', "a host that is gone ends the run"),
    wanted(
        '("plain", "no TLS") if is_true(tls) else ("tls", "TLS")',
        '("tls", "TLS") if is_true(tls) else ("plain", "no TLS")',
        "running servers are switched",
    ),
    preflight("if not active or not config:", "if not config:", "stopped servers cannot be switched"),
    preflight("found.add(probe.getsockname()[0])", "pass", "its own addresses are not in its certificate"),
    # ------------------------------------------------------------ how servers are asked
    health(
        "return f\"its certificate is refused: {error.verify_message.rstrip('.')}\"",
        "pass",
        "nobody is told which certificate it is",
    ),
    # ------------------------------------------------------------ when certificates end
    expiry("if place or fields[0] == _VERSION:", "if True:", "old certificates have no end"),
    expiry('_TIME: "%Y%m%d%H%M%SZ"', "", "what ends after 2049 is not seen"),
    expiry("min(ends)", "ends[0]", "a CA that ends before its leaves goes unnoticed"),
    expiry('if one["days"] < days:', 'if one["days"] < 0:', "nobody is warned in time"),
    expiry('if path.endswith("ca.pem"):', "if False:", "the remedy for a CA is that for a leaf"),
    tls("self.ends - now >= WARN", "self.ends - now >= WARN / 2", "mwapp warns late"),
    # ------------------------------------------------------------ mwapp
    tls(
        'self.ends = _check_time(f"{names.cert}: {cert}", text, datetime.now(UTC))',
        "pass",
        "an expired certificate is tried for ever",
    ),
    tls(
        "return not self._cut and self._secured.pending() > 0",
        "return False",
        "it waits for what is here already",
    ),
    tls(
        "return not self._cut and self._secured.pending() > 0",
        "return self._secured.pending() > 0",
        "what was cut off is read",
    ),
    tls("        self._cut = True\n", "", "what was cut off is read"),
    tls("self._refused(str(error))", "pass", "with TLS 1.3 nobody is told that a server refuses us"),
    tls("skip = 3 if kind == _VERSION else 2", "skip = 3", "old certificates have no end"),
    tls("secured.settimeout(0.0)", "pass", "one server that says nothing stops all else"),
    connection(
        "if self._hung_up[where] >= MOST_HANG_UPS:", "if True:", "a server that is restarted is given up"
    ),
    connection(
        "if self._hung_up[where] >= MOST_HANG_UPS:", "if False:", "a port without TLS is tried for ever"
    ),
    connection("0.0 if held else timeout", "timeout", "it waits for what is here already"),
    connection(
        "address = (hostname, address[1])", "pass", "a session is closed at a name that no certificate has"
    ),
]
