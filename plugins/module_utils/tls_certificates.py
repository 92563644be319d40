"""The certificates of an ensemble: CAs, and a leaf for each host and role, as PEM files in one directory.

    client-ca.pem   the CA for what is on the client port: servers there, and their clients
    client-ca.key   its key; without it the leaves are brought, not made
    client-ca.next.key  while the CA is changed: the key of its successor, which is trusted, but signs nothing
    quorum-ca.pem   the CA for what servers say to each other, and its key beside it
    client/NAME.pem   a leaf: its key (PKCS #8), its certificate, then what leads to the CA
    quorum/NAME.pem
    status-ca.pem   the CA for mwapp's status endpoints, its key beside it, and leaves in status/. It is not
                    the clients': what is for a host there could pass for a ZooKeeper server on that host

Only this machine, where Ansible runs, has the CAs' keys. Nothing here returns or logs a key.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from ansible_collections.zklab.zookeeper.plugins.module_utils import (
    tls_authorities,
    tls_chain,
    tls_pem,
    tls_x509,
)
from ansible_collections.zklab.zookeeper.plugins.module_utils.refusal import RefusalError
from ansible_collections.zklab.zookeeper.plugins.module_utils.tls_fingerprints import fingerprint
from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_rules import (
    RESERVED,
    name_of_a_server,
)

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
except ImportError:
    pass  # tls_x509.LACKS says so

CAS = ("client", "quorum", "status")
CA_DAYS = 3650
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")  # of a file, and of a certificate

# By host, and CA, the fingerprints of the certificates that its server trusts, the one that signs first.
Deployed = Mapping[str, Mapping[str, Sequence[str]]]


@dataclass(frozen=True)
class Wanted:
    """A leaf: of which CA, for whom, and under which names and addresses others reach it (none: a client).

    Without an ``optional`` one all works that has to: it is made, but need not be brought.
    """

    ca: str
    name: str
    hosts: tuple[str, ...] = ()
    optional: bool = False

    @property
    def file(self) -> str:
        """Where it is in the directory."""
        return f"{self.ca}/{self.name}.pem"


@dataclass(frozen=True)
class Authority:
    """A CA: all certificates of its file are trusted, the first signs. ``key`` is None if it is elsewhere."""

    certificates: list[Any]
    key: Any

    @property
    def signs(self) -> Any:
        """The first, or its renewal, wherever in the file that is."""
        return tls_authorities.renewed(self.certificates[0], self.certificates)


class Store:
    """The directory, made complete; what is wrong is collected, so that it is told at once."""

    def __init__(
        self,
        directory: Path,
        *,
        days: int,
        renew_days: int,
        now: datetime,
        deployed: Deployed | None = None,
        make_ca: bool = True,
        check: bool = False,
        rotate: Iterable[str] = (),
        step: str = "",
    ) -> None:
        self.directory = directory
        self.problems: list[str] = []
        self.warnings: list[str] = []
        self.made: list[str] = []  # files, and why
        self.files: list[str] = []  # the same
        self.expires: dict[str, str] = {}  # by file
        self._days = timedelta(days=days)
        self._renew = timedelta(days=renew_days)
        self._now = now
        self._deployed = deployed or {}
        self._make_ca = make_ca
        self._check = check
        self._rotate, self._step = frozenset(rotate), step
        self._todo: list[tuple[Path, bytes, int]] = []
        self._obsolete: list[Path] = []

    def ensure(self, wanted: Sequence[Wanted]) -> None:
        """Look at all of them, and, unless something is wrong with any, make and renew what is due."""
        self.problems += _clashes(wanted)
        self.problems += [
            f"{one.name!r} cannot be the name of a certificate: use up to 64 letters, digits, dots, dashes "
            "and underscores."
            for one in wanted
            if not NAME.fullmatch(one.name)
        ]
        authorities: dict[str, Authority] = {}
        for ca in sorted({one.ca for one in wanted}):
            leaves = [one for one in wanted if one.ca == ca and NAME.fullmatch(one.name)]
            try:
                authority = authorities[ca] = self._authority(ca)
            except RefusalError as error:
                self.problems.append(str(error))
                continue
            self.problems += self._other_ca(ca, authority)
            for one in leaves:
                try:
                    self._leaf(one, authority)
                except RefusalError as error:
                    self.problems.append(str(error))
        self._keep_apart(authorities, {one.ca for one in wanted})
        if self.problems or self._check:
            return
        for path, content, mode in self._todo:
            tls_pem.write(path, content, mode)
        for path in self._obsolete:
            path.unlink(missing_ok=True)

    def _make(self, path: Path, content: bytes, mode: int, why: str = "made") -> None:
        self._todo.append((path, content, mode))
        name = str(path.relative_to(self.directory))
        self.files.append(name)
        self.made.append(f"{name}: {why}")

    # ------------------------------------------------------------ CAs

    def _authority(self, ca: str) -> Authority:
        path, key_path = self.directory / f"{ca}-ca.pem", self.directory / f"{ca}-ca.key"
        if path.exists():
            authority = self._read_authority(path, key_path)
            if ca in self._rotate:
                authority = self._next_step(ca, authority, path, key_path)
        elif key_path.exists():
            signed = any((self.directory / ca).glob("*.pem"))
            unused = "" if signed else " (If nothing was ever signed with the key, remove it: both are made.)"
            raise RefusalError(
                f"{key_path} is there, but its certificate {path} is not: put it back.{unused}"
            )
        elif leaves := sorted((self.directory / ca).glob("*.pem")):
            raise RefusalError(
                f"{path} is missing, but {leaves[0]} is there: put the certificate of the CA that signed it "
                f"into {path}."
            )
        elif not self._make_ca:
            raise RefusalError(
                f"{path} is missing: the ensemble's is needed. Set mwapp_tls_dir (or zookeeper_tls_dir) to "
                "the zookeeper_tls_dir of the ensemble; the role zookeeper makes the CA."
            )
        else:
            authority = self._make_authority(ca, path, key_path)
        self.expires[path.name] = _day(tls_x509.ends(authority.signs))
        return authority

    def _other_ca(self, ca: str, authority: Authority) -> list[str]:
        """Of running servers that would not accept what this CA signs, or whose certificates it would not.

        Restarted one by one, some would have the one and some the other.
        """
        here = [fingerprint(tls_x509.der(certificate)) for certificate in authority.certificates]
        strange = [
            host
            for host, cas in sorted(self._deployed.items())
            if (there := cas.get(ca)) and (here[0] not in there or there[0] not in here)
        ]
        if not strange:
            return []
        if ca == "status":
            return [
                f"What runs on {', '.join(strange)} has certificates of another CA than {ca}-ca.pem in "
                f"{self.directory} is, or would be: set mwapp_tls_dir to the directory that they came "
                "from. (To replace that CA for good, run once with -e mwapp_status_new_ca=true.)"
            ]
        return [
            f"What runs on {', '.join(strange)} has certificates of another CA than {ca}-ca.pem in "
            f"{self.directory}: set zookeeper_tls_dir to the directory that they came from. (To change the "
            "CA, put the new certificate after the old one in that file, and run; then before it, with its "
            "key, and run; then remove the old one, and run.)"
        ]

    def _keep_apart(self, authorities: Mapping[str, Authority], wanted: set[str]) -> None:
        """Refuse a CA that accepts what another one has signed, also one that this run does not need."""
        known = {ca: authority.certificates for ca, authority in authorities.items()}
        for ca in sorted({*CAS} - known.keys()):
            with suppress(RefusalError):  # whoever needs it is told
                known[ca] = tls_pem.public_certificates(self.directory / f"{ca}-ca.pem")
        for found in tls_authorities.mixed(known):
            if wanted.isdisjoint({found.one, found.other}):
                continue
            files = f"{found.one}-ca.pem and {found.other}-ca.pem in {self.directory}"
            harm = "whoever has a certificate of the one can use it as one of the other"
            harm += " (to join the quorum, say)" if "quorum" in (found.one, found.other) else ""
            if found.parting:
                self.warnings.append(f"{files} have a CA in common until its change is over: {harm}.")
            else:
                self.problems.append(
                    f"{files} are one CA, or have a root in common: {harm}. Use CAs that have nothing in "
                    "common (if servers run with them: 'To change a CA' in the README of the role zookeeper)."
                )

    def _next_step(self, ca: str, authority: Authority, path: Path, key_path: Path) -> Authority:
        """Change the CA by the step that is wanted, if it is the one that is due.

        First all trust the new one, too; then it signs; then nobody trusts the old one. Each of these needs
        that all hosts have the one before. How far it has come is seen from the files, and from the hosts.
        """
        if authority.key is None:
            raise RefusalError(
                f"{key_path} is not here, so this CA is yours to change: see 'To change a CA' in the README "
                "of the role zookeeper."
            )
        known, next_path = authority.certificates, _next(key_path)
        stays = tls_authorities.way(known[0], known)
        changing = len(known) > len(stays)
        waits = next_path.exists() and next_path not in self._obsolete
        if self._step == "add":
            if changing or not self._all_have(ca, known):
                return authority  # an earlier run began it, or has not ended
            key, certificate = self._new_authority(ca)
            self._make(next_path, tls_pem.pem(key), 0o600)
            return self._rewritten(path, [*known, certificate], authority.key, "a new CA is trusted, too")
        if self._step == "switch" and waits:
            key = tls_pem.read_key(next_path, tls_pem.private(next_path))
            new = [one for one in known if tls_x509.pair(key, one)]
            if not new:
                raise RefusalError(
                    f"{next_path} is the key of no certificate in {path}: remove it, and run again."
                )
            if tls_x509.ends(new[0]) <= self._now:
                raise RefusalError(
                    f"{path}: {tls_x509.name(new[0])}, the new CA, has expired: remove it there, and "
                    f"{next_path}, and run again."
                )
            others = [one for one in known if one not in new]
            made = self._rewritten(path, [*new, *others], key, "the new CA signs")
            self._make(key_path, tls_pem.pem(key), 0o600, "it is the key of the new CA")
            self._obsolete.append(next_path)
            return made
        if self._step == "switch" and known[0] != stays[0]:
            others = [one for one in known if one != stays[0]]
            return self._rewritten(path, [stays[0], *others], authority.key, "the renewed CA comes first")
        if self._step == "drop" and changing and not waits:
            return self._rewritten(path, stays, authority.key, "the old CA is trusted no more")
        return authority

    def _all_have(self, ca: str, known: Sequence[Any]) -> bool:
        """Whether the servers that run trust these, and nobody else."""
        here = [fingerprint(tls_x509.der(certificate)) for certificate in known]
        return all(list(cas.get(ca, here)) == here for cas in self._deployed.values())

    def _rewritten(self, path: Path, certificates: list[Any], key: Any, why: str) -> Authority:
        self._make(path, b"".join(map(tls_pem.pem, certificates)), 0o644, why)
        return Authority(certificates, key)

    def _make_authority(self, ca: str, path: Path, key_path: Path) -> Authority:
        key, certificate = self._new_authority(ca)
        self._make(key_path, tls_pem.pem(key), 0o600)
        self._make(path, tls_pem.pem(certificate), 0o644)
        return Authority([certificate], key)

    def _new_authority(self, ca: str) -> tuple[Any, Any]:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"zklab-{ca}-ca-{os.urandom(4).hex()}")])
        certificate = (
            tls_x509.builder(name, name, key, self._now, self._now + timedelta(days=CA_DAYS))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(tls_x509.usage(ca=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        return key, certificate

    def _read_authority(self, path: Path, key_path: Path) -> Authority:
        certificates = tls_pem.public_certificates(path)
        for certificate in certificates:
            if not tls_x509.is_ca(certificate):
                raise RefusalError(
                    f"{path} holds a certificate that is not a CA's, {tls_x509.name(certificate)}: put "
                    "the CA's there."
                )
        self._check_time_of_start(path, certificates)
        self._check_ways(path, key_path, certificates)
        its_end = tls_x509.ends(tls_authorities.renewed(certificates[0], certificates))
        if its_end - self._now < self._renew:
            ends = _day(its_end)
            self.warnings.append(f"{path} expires on {ends}, and so do all certificates that it signed.")
        self._check_next(path, _next(key_path), certificates)
        if not key_path.exists():
            return Authority(certificates, None)
        key, next_path = tls_pem.read_key(key_path, tls_pem.private(key_path)), _next(key_path)
        if not tls_x509.pair(key, certificates[0]) and next_path.exists():  # a change that was cut short
            key = tls_pem.read_key(next_path, tls_pem.private(next_path))
            self._make(key_path, tls_pem.pem(key), 0o600, "it is the key of the new CA")
            self._obsolete.append(next_path)
        if not tls_x509.pair(key, certificates[0]):
            raise RefusalError(
                f"{key_path} is not the key of the first certificate in {path}, "
                f"{tls_x509.name(certificates[0])}: put the certificate that belongs to the key first."
            )
        return Authority(certificates, key)

    def _check_next(self, path: Path, next_path: Path, certificates: list[Any]) -> None:
        """The key of a CA's successor is as secret as its own, also while nothing is changed."""
        if not next_path.exists():
            return
        key = tls_pem.read_key(next_path, tls_pem.private(next_path))
        if not self._step and not any(tls_x509.pair(key, one) for one in certificates):
            self.warnings.append(f"{next_path} is the key of no certificate in {path}: remove it.")

    def _check_ways(self, path: Path, key_path: Path, certificates: list[Any]) -> None:
        """Each must lead to a root, and what is still of use must not have expired.

        Java trusts a CA that is no root; OpenSSL, and with it Python, does not.
        """
        needed = tls_authorities.way(certificates[0], certificates)
        _refuse(path, tls_chain.weak(needed) or tls_chain.problem(needed, leaf=False))
        for certificate in certificates:
            name, ends = tls_x509.name(certificate), tls_x509.ends(certificate)
            if ends <= self._now and certificate in needed:
                raise RefusalError(
                    f"{path}: {name} expired on {_day(ends)}, and so did all certificates that it signed. "
                    f"{_after_the_end(path, key_path)}"
                )
            if ends <= self._now:  # the other one of a change that was not finished
                self.warnings.append(
                    f"{path}: {name} expired on {_day(ends)}: remove it (playbooks/tls_rotate.yml does it)."
                )
            elif not tls_authorities.rooted(certificate, certificates):
                raise RefusalError(
                    f"{path}: {name} is signed by {certificate.issuer.rfc4514_string()}, which is not there, "
                    "and the application trusts no CA without its root: put what leads to the root after "
                    "it, and the root last."
                )

    # ------------------------------------------------------------ leaves

    def _leaf(self, wanted: Wanted, authority: Authority) -> None:
        path = self.directory / wanted.file
        if not path.exists():
            if authority.key is None:
                if wanted.optional:
                    return
                raise RefusalError(
                    f"{path} is missing, and so is {wanted.ca}-ca.key, with which it could be made: put the "
                    "key "
                    f"(PKCS #8, unencrypted) and the certificate of {_described(wanted)} there."
                )
            self._issue(wanted, authority, "made")
            return
        leaf = tls_pem.read_leaf(path)
        self._check_time_of_start(path, leaf.chain)
        due = self._due(wanted, leaf.chain[0], authority)
        if due and authority.key is not None:
            self._issue(wanted, authority, f"renewed: {due}")
            return
        if due:
            raise RefusalError(f"{path}: {due}: bring a certificate for {_described(wanted)}.")
        self._check_chain(path, leaf.chain, authority, _purposes(wanted))
        ends = min(tls_x509.ends(certificate) for certificate in leaf.chain)
        if authority.key is None and ends - self._now < self._renew:
            self.warnings.append(f"{path} expires on {_day(ends)}: bring a new one.")
        self.expires[wanted.file] = _day(ends)

    def _due(self, wanted: Wanted, certificate: Any, authority: Authority) -> str:
        """Why this certificate will not do, if another one of this CA would."""
        lacks = [host for host in wanted.hosts if host not in tls_x509.hosts(certificate)]
        missing = [word for word, oid in _purposes(wanted) if oid not in tls_x509.usages(certificate)]
        ends = tls_x509.ends(certificate)
        if ends <= self._now:
            return f"it expired on {_day(ends)}"
        if lacks:
            has = ", ".join(tls_x509.hosts(certificate)) or "nothing"
            return f"it is not for {', '.join(lacks)} (its subjectAltName has {has})"
        if whose := _anothers(wanted, certificate):
            return whose
        if missing:
            return f"it is not for the use as {' and '.join(missing)} (extendedKeyUsage)"
        if authority.key is None:
            return ""
        if not tls_x509.issued(certificate, authority.certificates[0]):
            return f"it is not of the CA {tls_x509.name(authority.certificates[0])}"
        # A leaf that ends with its CA cannot be given more.
        if ends - self._now < self._renew and ends < min(
            tls_x509.ends(authority.signs), self._now + self._days
        ):
            return f"it expires on {_day(ends)}"
        return ""

    def _issue(self, wanted: Wanted, authority: Authority, why: str) -> None:
        key, ca = ec.generate_private_key(ec.SECP256R1()), authority.signs
        try:
            names = [tls_x509.general_name(host) for host in wanted.hosts]
            subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, wanted.name)])
        except ValueError as error:
            raise RefusalError(
                f"{wanted.file}: no certificate can be for {_described(wanted)}: {error}"
            ) from None
        ends = min(self._now + self._days, tls_x509.ends(ca))
        builder = (
            tls_x509.builder(subject, ca.subject, key, self._now, ends)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(tls_x509.usage(ca=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([oid for _word, oid in _purposes(wanted)]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False
            )
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = builder.sign(authority.key, hashes.SHA256())
        # A CA that is no root: what leads to the root goes along.
        chain = [certificate] if tls_x509.is_root(ca) else [certificate, ca]
        content = tls_pem.pem(key) + b"".join(map(tls_pem.pem, chain))
        self._make(self.directory / wanted.file, content, 0o600, why)
        self.expires[wanted.file] = _day(ends)

    def _check_chain(
        self, path: Path, chain: list[Any], authority: Authority, purposes: list[tuple[str, Any]]
    ) -> None:
        _refuse(path, tls_chain.weak(chain))
        for certificate, issuer in pairwise(chain):
            if not tls_x509.issued(certificate, issuer):
                raise RefusalError(
                    f"{path}: {tls_x509.name(certificate)} is followed by {tls_x509.name(issuer)}, which has "
                    "not signed it: after the host's own certificate put the one that signed it, then "
                    "the one that signed that."
                )
        for certificate in chain:
            self._check_time(path, certificate, "bring a new one")
        if not any(tls_x509.issued(chain[-1], ca) or chain[-1] == ca for ca in authority.certificates):
            names = " or ".join(tls_x509.name(ca) for ca in authority.certificates)
            raise RefusalError(
                f"{path}: {tls_x509.name(chain[-1])} is signed by {chain[-1].issuer.rfc4514_string()}, not "
                f"by {names} of {path.parent.name}-ca.pem: bring a certificate of that CA, or add "
                "what leads to it."
            )
        _refuse(path, tls_chain.problem([*chain, *_above(chain[-1], authority)], purposes))

    def _check_time(self, path: Path, certificate: Any, remedy: str) -> None:
        self._check_time_of_start(path, [certificate])
        if tls_x509.ends(certificate) <= self._now:
            raise RefusalError(
                f"{path}: {tls_x509.name(certificate)} expired on {_day(tls_x509.ends(certificate))}: "
                f"{remedy}."
            )

    def _check_time_of_start(self, path: Path, certificates: Iterable[Any]) -> None:
        for certificate in certificates:
            if certificate.not_valid_before_utc > self._now:
                raise RefusalError(
                    f"{path}: {tls_x509.name(certificate)} is not valid before "
                    f"{certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC, and this machine's clock says "
                    f"{self._now:%Y-%m-%d %H:%M} UTC: correct the clock, or bring another one."
                )


def _refuse(path: Path, problem: str) -> None:
    if problem:
        raise RefusalError(f"{path}: {problem}.")


def _above(certificate: Any, authority: Authority) -> list[Any]:
    """What leads from the last certificate of a chain to the root. The CA may be in the chain itself."""
    known = authority.certificates
    if certificate in known:
        return tls_authorities.way(certificate, known)[1:]
    ca = next(one for one in known if tls_x509.issued(certificate, one))
    return tls_authorities.way(ca, known)


def _clashes(wanted: Sequence[Wanted]) -> list[str]:
    """Of names that are wanted for several."""
    return [
        name_of_a_server(name)
        for name in sorted({one.name for one in wanted if one.ca == "client" and not one.hosts})
        if any(one.name == name and one.hosts for one in wanted)
    ]


def _purposes(wanted: Wanted) -> list[tuple[str, Any]]:
    """What it is used for. A server of the ensemble is a client, too: of the other servers, and when it asks
    how they are."""
    server = [("server", ExtendedKeyUsageOID.SERVER_AUTH)] if wanted.hosts else []
    client = [("client", ExtendedKeyUsageOID.CLIENT_AUTH)] if wanted.ca != "status" else []
    return [*server, *client]


def _anothers(wanted: Wanted, certificate: Any) -> str:
    """That it is somebody else's: access control lists, and who is superuser, go by the subject.

    A server has no rights of its own, so its certificate may say more; but nothing that has rights.
    """
    its, subject = f"CN={wanted.name}", tls_x509.name(certificate)
    with_rights = wanted.ca == "client" and subject.startswith(tuple(f"CN={name}" for name in RESERVED))
    if subject == its or (wanted.hosts and not with_rights):
        return ""
    return f"its subject is {subject or 'empty'}, not {its}"


def _after_the_end(path: Path, key_path: Path) -> str:
    """The way out when a CA has expired: whoever runs trusts no other, so no step by step leads to one."""
    ca = path.name.removesuffix("-ca.pem")
    stop = "" if ca == "status" else "Stop all servers (systemctl stop zookeeper). "
    if key_path.exists():
        return f"{stop}Move {ca}-ca.* and {ca}/ in {path.parent} away, and run site.yml: it makes others."
    return f"{stop}Put another CA there, and certificates of it into {path.parent}/{ca}, and run site.yml."


def _next(key_path: Path) -> Path:
    """Where the key of a CA's successor waits."""
    return key_path.with_suffix(".next.key")


def host_text(host: str) -> str:
    """A name or address as certificates have it: addresses in one form, names in lower case."""
    host = host.strip("[] ").partition("%")[0]
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host.rstrip(".").lower()


def _described(wanted: Wanted) -> str:
    return f"{wanted.name} ({', '.join(wanted.hosts)})" if wanted.hosts else wanted.name


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"


def utc_now() -> datetime:
    """To the second, as certificates count."""
    return datetime.now(UTC).replace(microsecond=0)
