"""TLS: certificates on the controller, how servers are asked, and how mwapp connects."""

from functools import partial

from tests.mutants.killers import pytest
from tests.mutants.mutant import Mutant

KILLERS = (
    pytest("tests/unit/test_tls_certificates.py"),
    pytest(
        "tests/unit/test_zookeeper_tls.py",
        "tests/unit/test_zk_tls.py",
        "tests/unit/zookeeper_preflight",
        "tests/unit/test_tls_expiry.py",
        "tests/unit/test_zookeeper_tls_phases.py",
        "tests/unit/test_packet_filter_rules.py",
    ),
)

store = partial(Mutant, "plugins/module_utils/tls_certificates.py")
pem = partial(Mutant, "plugins/module_utils/tls_pem.py")
chains = partial(Mutant, "plugins/module_utils/tls_chain.py")
authorities = partial(Mutant, "plugins/module_utils/tls_authorities.py")
texts = partial(Mutant, "plugins/lookup/tls_texts.py")
module = partial(Mutant, "plugins/modules/tls_certificates.py")
wanted = partial(Mutant, "plugins/filter/zookeeper_tls.py")
health = partial(Mutant, "plugins/module_utils/zookeeper_health.py")
expiry = partial(Mutant, "plugins/module_utils/tls_expiry.py")
phases = partial(Mutant, "plugins/module_utils/zookeeper_tls_phases.py")
filter_rules = partial(Mutant, "plugins/filter/packet_filter_rules.py")
preflight = partial(Mutant, "plugins/modules/zookeeper_preflight.py")
tls = partial(Mutant, "mwapp/zookeeper/tls.py")
certificates = partial(Mutant, "mwapp/certificates.py")
connection = partial(Mutant, "mwapp/zookeeper/connection.py")

MUTANTS = [
    store('if wanted.ca != "status" else []', "", "a status endpoint's certificate is a client's, too"),
    # ------------------------------------------------------------ what the controller makes
    store("if self.problems or self._check:", "if self._check:", "what is refused is made all the same"),
    store("if self.problems or self._check:", "if self.problems:", "check mode makes files"),
    pem("READABLE_BY_OTHERS = 0o077", "READABLE_BY_OTHERS = 0o007", "a key that the group can read is used"),
    pem("if ENCRYPTED.search(content):", "if False:", "a key with a password is called damaged"),
    pem("if ANY_KEY in content:", "if False:", "a CA's key goes to all hosts, readable for everybody"),
    pem("if len(found) > 1:", "if False:", "a server takes another key than was looked at"),
    pem("and key.curve.name in CURVES:", ":", "a server has a key that it cannot use"),
    pem("and key.curve.name not in CURVES", "and False", "servers have a CA that they cannot use"),
    store(
        "key = tls_pem.read_key(next_path, tls_pem.private(next_path))\n        if not self._step",
        "key = tls_pem.read_key(next_path, tls_pem.read(next_path))\n        if not self._step",
        "everybody can read the key of a CA that is trusted",
    ),
    pem("if PKCS8 not in content:", "if False:", "a server dies of a key that it cannot read"),
    pem(
        "if tls_x509.pair(key, chain[0]):",
        "if True:",
        "a key of another certificate is placed",
    ),
    pem("key.key_size < LEAST_RSA_BITS:", "key.key_size < 1024:", "OpenSSL refuses a CA that is placed"),
    store("_refuse(path, tls_chain.weak(chain))", "pass", "the reason is said to be another CA"),
    store(
        "[*chain, *_above(chain[-1], authority)], purposes",
        "chain, purposes",
        "a CA that allows none below it has some",
    ),
    chains("if name in WEAK and not tls_x509.is_root(one):", "if name in WEAK:", "an old root is refused"),
    chains('"md5", "sha1")', '"md5")', "nobody is told that OpenSSL refuses SHA-1"),
    chains("    if not tls_x509.is_ca(ca):\n", "    if False:\n", "whoever has a leaf signs others"),
    chains(
        'if not tls_x509.may(ca, "key_cert_sign"):', "if False:", "OpenSSL refuses a chain that is placed"
    ),
    chains("here > most:", "here > most + 1:", "OpenSSL and Java refuse a chain that is placed"),
    chains("oid not in tls_x509.usages(ca)]", "False]", "OpenSSL refuses a chain that is placed"),
    chains("cas = path[1:] if leaf else path", "cas = path", "every leaf is refused"),
    store("pairwise(chain)", "pairwise(chain[:1])", "a chain with a stranger in it is placed"),
    store(
        "if not any(tls_x509.issued(chain[-1], ca) or chain[-1] == ca for ca in authority.certificates):",
        "if False:",
        "certificates of another CA are placed",
    ),
    store("if ends <= self._now:", "if False:", "an expired one that was brought is placed", at="Store._due"),
    store("if lacks:", "if False:", "a host has a certificate without its name"),
    store(
        "if whose := _anothers(wanted, certificate):",
        'if whose := "":',
        "a worker can have a master's rights",
    ),
    store("and not with_rights", "", "a server can have a master's rights"),
    store("subject == its or (wanted.hosts", "subject == its or (True", "a client can have another's rights"),
    store('wanted.ca == "client" and subject', "subject", "a status endpoint that was brought is refused"),
    store("if missing:", "if False:", "a server has a certificate that is for clients only"),
    store(
        "if not tls_x509.issued(certificate, authority.certificates[0]):",
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
        '        elif leaves := sorted((self.directory / ca).glob("*.pem")):\n',
        "        elif False:\n",
        "a CA that is missing is made anew, and all certificates with it",
    ),
    store("certificate.not_valid_before_utc > self._now", "False", "what is not valid yet is placed"),
    store(
        "chain = [certificate] if tls_x509.is_root(ca) else [certificate, ca]",
        "chain = [certificate]",
        "what leads to the root is missing",
    ),
    store(
        '[("server", ExtendedKeyUsageOID.SERVER_AUTH)] if wanted.hosts else []',
        '[("server", ExtendedKeyUsageOID.SERVER_AUTH)]',
        "a client can pass for a server",
    ),
    module("if not directory.is_absolute():", "if False:", "keys are made where nobody reads them"),
    texts("os.path.expandvars(top)", "top", "keys are made where nobody reads them"),
    texts('options.get("complete") and', "False and", "empty keys are placed"),
    module("CLOCK_SECONDS = 900", "CLOCK_SECONDS = 9000", "a clock that is an hour off goes unnoticed"),
    module("        directory.chmod(OWNER_ONLY)\n", "        pass\n", "others can enter the directory"),
    module(
        '"make_ca": {"type": "bool", "default": True}',
        '"make_ca": {"type": "bool", "default": False}',
        "nobody makes the CAs",
    ),
    store("and certificate in needed:", ":", "an old CA that has expired cannot be dropped"),
    store("if ends <= self._now and certificate in needed:", "if False:", "a CA that has expired is placed"),
    store(
        "elif not tls_authorities.rooted(certificate, certificates):",
        "elif False:",
        "the application trusts no server, as its CA has no root",
    ),
    store("if tls_x509.ends(new[0]) <= self._now:", "if False:", "a CA that has expired signs"),
    store(
        "if key_path.exists():", "if True:", "who brings the CA is told to run site.yml", at="_after_the_end"
    ),
    store('"" if ca == "status" else', "", "servers are stopped for the status endpoints"),
    authorities("while not is_root(found[-1]):", "while False:", "a root is dropped with an old CA"),
    authorities(
        "max((certificate, *twins), key=ends)",
        "certificate",
        "a CA that was renewed has expired all the same",
    ),
    authorities(
        "(is_root(one), ends(one))", "is_root(one)", "a root that was renewed has expired all the same"
    ),
    authorities("(is_root(one), ends(one))", "ends(one)", "the way ends at a CA whose root is not there"),
    authorities("if len(alone[0]) < len(here):", "if False:", "a client's certificate joins the quorum"),
    authorities("public(certificate) == public(other) or ", "", "a CA of the same key passes for another"),
    authorities("issued(certificate, other) or ", "", "a client's certificate joins the quorum by its root"),
    authorities(" or issued(other, certificate)", "", "a client's certificate joins the quorum by its root"),
    authorities("parting=any(alone)", "parting=True", "two CAs of one root get a warning"),
    authorities("parting=any(alone)", "parting=False", "from one CA for both there is no way"),
    store("{*CAS} - known.keys()", "()", "the status endpoints' CA is the clients'"),
    # ------------------------------------------------------------ what the role asks for
    wanted(
        'if member["name"] in play_hosts\n',
        "",
        "hosts that --limit leaves out get certificates they never see",
    ),
    wanted('*found["addresses"], *more]', "*more]", "servers refuse each other by their addresses"),
    wanted(
        "mismatch(phases, TLS if is_true(tls) else PLAIN)",
        "mismatch(phases, PLAIN if is_true(tls) else TLS)",
        "running servers are switched",
    ),
    phases("if phase != target:", "if phase == PLAIN != target:", "half of the way is enough"),
    wanted("for name in _texts(clients)]", "for name in clients]", "-e gives a client each letter"),
    # ------------------------------------------------------------ the way to TLS and back
    phases('config.get("portUnification") != "true"', "False", "nobody has ever come all the way"),
    phases(
        "if last - first > 1 and not alone:", "if False:", "servers that do not understand each other restart"
    ),
    phases("range(min(first + 1, end), end + 1)", "range(end, end + 1)", "the way up is one roll"),
    phases("range(max(last - 1, end), end - 1, -1)", "range(end, end - 1, -1)", "the way down is one roll"),
    phases("min(first + 1, end)", "min(last + 1, end)", "those that are behind leave out a step"),
    phases("max(last - 1, end)", "max(first - 1, end)", "those that are ahead leave out a step"),
    phases(
        "not (alone and PHASES[step] == ACCEPTS)", "True", "a single server restarts once more than it must"
    ),
    phases(
        "return TLS in {*running, phase}",
        "return phase == TLS",
        "servers without a plain port are asked there",
    ),
    wanted(
        "steps == [target] and set(phases.values()) <= {target}",
        "steps == [target]",
        "the last roll is left out",
    ),
    wanted(
        '(part == "close" or not phases)',
        'part == "close"',
        "the application waits for servers that nobody starts",
    ),
    wanted("if step not in BOTH]", "]", "a check tells the first part twice"),
    wanted(
        'part == "close" and not done and not check',
        'part == "close" and not check',
        "what is done is refused",
    ),
    wanted("and not is_true(cut_off)", "", "nobody can be cut off"),
    wanted('port = "plain" if target == TLS else "tls"', 'port = "plain"', "clients with TLS are cut off"),
    wanted("if left_out:", "if False:", "--limit leaves servers behind that the others do not understand"),
    wanted('if not stage.get("newest_first")]', "]", "the start of the newest data is a change of members"),
    wanted('(_changes(plan) or len(plan["stages"]) > 1)', "_changes(plan)", "they do not start first"),
    wanted("phases & {*BOTH} or phases", "phases & {*BOTH}", "where they are to start it crashes"),
    wanted("if _changes(plan) and set(", "if False and set(", "members change and TLS, too"),
    wanted('bool(first.get("changing") or first.get("first"))', "False", "one that leaves is not noticed"),
    wanted("[-1 if target == TLS else 0]", "[0 if target == TLS else -1]", equivalent="only a roll more"),
    wanted("        phases = dict.fromkeys(phases, at)\n", "", "the gate asks with TLS where there is none"),
    wanted("more, steps = [], [", "steps = [", "a check tells of new members twice"),
    wanted('{**plan["stages"][-1], "first"', '{**plan["stages"][0], "first"', "the dead come back"),
    wanted(', "first": "", "changing": False}', "}", "the gate lets servers wait in each roll"),
    wanted("phases = dict.fromkeys(phases, step)", "pass", "the gate asks with TLS where there is none"),
    wanted(
        "return TLS in phases if phases else is_true(tls)",
        "return is_true(tls)",
        "status asks at the wrong port",
    ),
    filter_rules(
        'tls += _still({_deployed(found, "tls") for found in has_tls}, tls)',
        "pass",
        "clients with TLS are shut out before they move",
    ),
    filter_rules('not in (None, "", PLAIN)]', "is not True]", "a port for TLS is open where nobody uses it"),
    preflight("state == ESTABLISHED and", "", "who listens is a client"),
    preflight("and here != there", "", "the host itself is a client of its own"),
    preflight('getattr(found, "ipv4_mapped", None) or found', "found", "clients have odd addresses"),
    preflight(
        "if not ipaddress.ip_address(address).is_loopback", "", "what the host asks itself stops the way"
    ),
    # ------------------------------------------------------------ the change of a CA
    store(
        "if changing or not self._all_have(ca, known):",
        "if changing:",
        "a change begins before the last has ended",
    ),
    store(
        "if changing or not self._all_have(ca, known):",
        "if not self._all_have(ca, known):",
        "each run begins another change",
    ),
    store(
        "[*known, certificate], authority.key",
        "[certificate, *known], authority.key",
        "the new CA is first before anybody trusts it",
    ),
    store("and changing and not waits:", "and changing:", "the new CA is dropped, not the old one"),
    store("stays, authority.key", "known[1:], authority.key", "the new CA is dropped, not the old one"),
    store(
        "[*new, *others], key", "new, key", "the old CA is trusted no more while its certificates are used"
    ),
    store(
        "            path.unlink(missing_ok=True)\n",
        "            pass\n",
        "the old key comes back",
        at="Store.ensure",
    ),
    store(
        "and next_path.exists():  # a change",
        "and False:  # a change",
        "a change that was cut short stops all runs",
    ),
    store(
        "if any(one.name == name and one.hosts for one in wanted)",
        "if False",
        "a client is given a server's key",
    ),
    preflight("if active and config else", "if config else", "stopped servers cannot be switched"),
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
    certificates(
        'ends, whose = _check_time(f"{names.cert}: {cert}", text, datetime.now(UTC)), None',
        "ends, whose = None, None",
        "an expired certificate is tried for ever",
    ),
    certificates("if mode & _OTHERS and", "if False and", "a key that everybody can read is used"),
    certificates("_OTHERS = 0o007", "_OTHERS = 0o077", "a key that a group shares is refused"),
    certificates(
        "if mode & _OTHERS and",
        "if",
        "no key is used",
    ),
    certificates(
        "load_cert_chain(one.name, key)", "load_cert_chain(one.name)", "a reversed chain is not told"
    ),
    certificates(
        "context.load_cert_chain(cert, key)", "context.load_cert_chain(cert)", "a key's own file is not read"
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
    certificates("skip = 3 if kind == _VERSION else 2", "skip = 3", "old certificates have no end"),
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
    # ------------------------------------------------------------ clients wait for their files while a CA is changed
    wanted(
        'found["trusts"].get("client", now) != now',
        "False",
        "a run that was cut short goes on, and cuts clients off",
    ),
    wanted(
        'any(path.endswith(f"/{CLIENT_CA}") for path in found["stale"])',
        "False",
        "so does one before a restart",
    ),
    wanted(
        'any(path.endswith(f"/{CLIENT_CA}") for path in found["stale"])',
        'found["stale"]',
        "it ends for another file",
    ),
    store(
        '            others = [one for one in known if one not in new]\n            made = self._rewritten(path, [*new, *others], key, "the new CA signs")\n            self._make(key_path, tls_pem.pem(key), 0o600, "it is the key of the new CA")\n',
        '            others = [one for one in known if one not in new]\n            self._make(key_path, tls_pem.pem(key), 0o600, "it is the key of the new CA")\n            made = self._rewritten(path, [*new, *others], key, "the new CA signs")\n',
        "a switch that is cut short between two files is refused from then on",
    ),
    pem(
        "            os.fsync(new.fileno())\n            os.fchmod(new.fileno(), mode)\n            Path(new.name).replace(path)\n",
        "            os.fchmod(new.fileno(), mode)\n            Path(new.name).replace(path)\n            os.fsync(new.fileno())\n",
        "after a power cut a key is empty",
    ),
]
