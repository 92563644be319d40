"""The keys of zoo.cfg, and how to read one.

ZooKeeper takes an unknown key for a system property and says nothing, so a misspelt key would go unnoticed.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_settings import SETTINGS, is_true

# Keys that have a variable, and which.
OWNED = {setting.key: setting.variable for setting in SETTINGS if setting.key}
# Keys that nobody may set, or how such keys begin, and why.
REFUSED = {
    "server.": "the members come from the group `zookeeper`",
    "dynamicConfigFile": "the members come from the group `zookeeper`",
    "reconfigEnabled": "ZooKeeper would rewrite a file that the role keeps",
    "standaloneEnabled": "the members come from the group `zookeeper`, and a single one serves alone",
    "group.": "the role counts on plain majorities",
    "weight.": "the role counts on plain majorities",
    "admin.serverAddress": "AdminServer always listens on loopback",
    "db.autocreate": "the role keeps it false, so that a server that lost its data cannot vote",
}
PREFIXES = (
    "DigestAuthenticationProvider.",
    "IPAuthenticationProvider.",
    "SASLAuthenticationProvider.",
    "X509AuthenticationProvider.",
    "authProvider.",
    "metricsProvider.",
    "quorum.auth.",
    "ssl.",
)
# fmt: off
KNOWN = frozenset((
    "admin.commandURL", "admin.forceHttps", "admin.httpVersion", "admin.idleTimeout", "admin.needClientAuth",
    "admin.portUnification", "admin.rateLimiterIntervalInMS", "admin.restore.enabled",
    "admin.snapshot.enabled", "allowSaslFailedClients", "audit.enable", "audit.impl.class",
    "bitHashCacheSize", "client.certReload", "client.portUnification", "clientPortListenBacklog",
    "clientTcpKeepAlive", "closeSessionTxn.enabled", "cnxTimeout", "commitLogCount",
    "commitProcessor.maxCommitBatchSize", "commitProcessor.maxReadBatchSize",
    "commitProcessor.numWorkerThreads", "commitProcessor.shutdownTimeout", "connectToLearnerMasterLimit",
    "connection_throttle_decrease_ratio", "connection_throttle_drop_decrease",
    "connection_throttle_drop_increase", "connection_throttle_fill_count", "connection_throttle_fill_time",
    "connection_throttle_freeze_time", "connection_throttle_global_session_weight",
    "connection_throttle_local_session_weight", "connection_throttle_renew_session_weight",
    "connection_throttle_tokens", "connection_throttle_weight_enabled", "datadir.autocreate",
    "digest.enabled", "electionAlg", "electionPortBindRetry", "emulate353TTLNodes", "enableEagerACLCheck",
    "enforce.auth.enabled", "enforce.auth.schemes", "enforceQuota", "ensembleAuthName",
    "extendedTypesEnabled", "fastleader.maxNotificationInterval", "fastleader.minNotificationInterval",
    "fips-mode", "flushDelay", "follower.skipLearnerRequestToNextProcessor", "forceSnapshotSync", "forceSync",
    "forward_learner_requests_to_commit_processor_disabled", "intBufferStartingSizeBytes",
    "jvm.pause.info-threshold.ms", "jvm.pause.monitor", "jvm.pause.sleep.time.ms",
    "jvm.pause.warn-threshold.ms", "kerberos.canonicalizeHostNames", "kerberos.minReLoginTimeMs",
    "kerberos.removeHostFromPrincipal", "kerberos.removeRealmFromPrincipal", "kinit", "largeRequestMaxBytes",
    "largeRequestThreshold", "leader.ackLoggingFrequency", "leader.closeSocketAsync",
    "leader.maxConcurrentDiffSyncs", "leader.maxConcurrentSnapSyncs", "leader.maxTimeToWaitForEpoch",
    "leaderConnectDelayDuringRetryMs", "leaderServes", "learner.asyncSending", "learner.closeSocketAsync",
    "letAnySaslUserDoX", "localSessionsEnabled", "localSessionsUpgradingEnabled", "maxBatchSize",
    "maxGetChildrenResponseCacheSize", "maxInProcessingDeadWatchers", "maxResponseCacheSize",
    "maxWriteQueuePollTime", "messageTracker.BufferSize", "messageTracker.Enabled", "multiAddress.enabled",
    "multiAddress.reachabilityCheckEnabled", "multiAddress.reachabilityCheckTimeoutMs",
    "netty.advancedFlowControl.enabled", "netty.server.earlyDropSecureConnectionHandshakes",
    "netty.server.outstandingHandshake.limit", "nio.directBufferBytes", "nio.numSelectorThreads",
    "nio.numWorkerThreads", "nio.sessionlessCnxnTimeout", "nio.shutdownTimeout", "observer.election.DelayMs",
    "observer.reconnectDelayMs", "observer.syncEnabled", "observerMaster.sizeLimit", "observerMasterPort",
    "oraclePath", "pathStats.delay", "pathStats.enabled", "pathStats.initialDelay", "pathStats.maxDepth",
    "pathStats.sampleRate", "pathStats.slotCapacity", "pathStats.slotDuration", "pathStats.topPathMax",
    "portUnification", "quorum.cnxn.threads.size", "quorumCnxnTimeoutMs", "quorumListenOnAllIPs",
    "request.timeout", "request_stale_connection_check", "request_stale_latency_check",
    "request_throttle_drop_stale", "request_throttle_max_requests", "request_throttle_stall_time",
    "request_throttler.shutdownTimeout", "requireKerberosConfig", "sasl.serverconfig", "secureClientPort",
    "secureClientPortAddress", "security.auth_to_local", "serializeLastProcessedZxid.enabled",
    "server.principal", "server.realm", "serverCnxnFactory", "sessionRequireClientSASLAuth", "skipACL",
    "snapSizeLimitInKb", "snapshot.compression.method", "snapshot.trust.empty", "snapshotSizeFactor",
    "sslQuorum", "sslQuorumReloadCertFiles", "superUser", "syncEnabled", "tcpKeepAlive",
    "throttled_op_wait_time", "txnLogSizeLimitInKb", "watchManagerName", "watcherCleanIntervalInSeconds",
    "watcherCleanThreadsNum", "watcherCleanThreshold",
))
# fmt: on


# What a text of ours may have of secrets: the rest of such a line. (A passwordPath is none.)
SECRET = re.compile(r"((?:password|secret|superDigest)=).+", re.IGNORECASE)
MASK = "********"
# A key of zoo.cfg as a property of Java.
PROPERTY = re.compile(r"-Dzookeeper\.([\w.-]+)")


def masked(text: str) -> str:
    """The text without its secrets, for people and logs."""
    return SECRET.sub(rf"\1{MASK}", text)


def password_problem(variable: str, key: str) -> str | None:
    """Why a property must not be set, if it is a password. Its value is never told."""
    if not key.lower().endswith("password"):
        return None
    path = f"{key.removeprefix('zookeeper.')}Path"
    way = (
        f"set {path} in zookeeper_config to the path of this file"
        if path.startswith("ssl.")
        else "name it by ssl.keyStore.passwordPath or its like in zookeeper_config"
    )
    return (
        f"{variable} sets {key}: a password there gets into logs and the process list. Write it into a file "
        f"that belongs to root and zookeeper_group, mode 0640, and {way}."
    )


# Keys that zookeeper_tls sets, or how they begin, and why not otherwise.
SET_BY_TLS = {
    "secureClientPort": "zookeeper_tls_port and zookeeper_client_address are written there",
    "serverCnxnFactory": "TLS needs Netty",
    "sslQuorum": "the quorum has TLS",
    "portUnification": "the quorum would take connections without TLS, too",
    "client.portUnification": "the client port would take connections without TLS, too",
    "fips-mode": "with it ZooKeeper checks no host names in the quorum",
    "ssl.authProvider": "clients are known by their certificates",
    "authProvider.x509": "clients are known by their certificates",
    "ssl.clientAuth": "clients need a certificate",
    "ssl.keyStore.": "keys and certificates come from zookeeper_tls_dir",
    "ssl.trustStore.": "keys and certificates come from zookeeper_tls_dir",
    "ssl.hostnameVerification": "host names are checked",
    "ssl.clientHostnameVerification": "it would refuse clients by their addresses",
    "ssl.quorum.clientAuth": "servers need a certificate",
    "ssl.quorum.keyStore.": "keys and certificates come from zookeeper_tls_dir",
    "ssl.quorum.trustStore.": "keys and certificates come from zookeeper_tls_dir",
    "ssl.quorum.hostnameVerification": "host names are checked",
    "ssl.quorum.clientHostnameVerification": "host names are checked",
}


def tls_problems(config: Iterable[str]) -> list[str]:
    """What is wrong with the keys of ``zookeeper_config`` beside zookeeper_tls."""
    return [f"zookeeper_config sets {key}: {why}." for key in config if (why := _not_with_tls(key))]


def _not_with_tls(key: str) -> str:
    """Why a key must not be set while zookeeper_tls is true, and the remedy."""
    for start, why in SET_BY_TLS.items():
        if key == start or (start.endswith((".", "Port")) and key.startswith(start)):
            return f"remove it while zookeeper_tls is true: {why}"
    return ""


def _refused(key: str) -> str:
    """Why a key must not be set, and the remedy."""
    if key in OWNED:
        return f"set {OWNED[key]} instead"
    reasons = (why for start, why in REFUSED.items() if key.startswith(start) and key not in KNOWN)
    return next((f"remove it, {why}" for why in reasons), "")


def property_problems(flag: str, *, tls: bool) -> list[str]:
    """Of a flag of Java that sets what zookeeper_config may not: servers read both."""
    return [
        f"zookeeper_jvm_flags sets zookeeper.{key}: {why}."
        for key in PROPERTY.findall(flag)
        if (why := _refused(key) or (_not_with_tls(key) if tls else ""))
    ]


def skips_lists(its: Mapping[str, Any]) -> bool:
    """Whether a server with these variables looks at no access control list. -e gives flags as text."""
    config, flags = its.get("zookeeper_config"), its.get("zookeeper_jvm_flags") or ()
    lines = [flags] if isinstance(flags, str) else flags
    if any("-Dzookeeper.skipACL=yes" in str(line) for line in lines):
        return True
    return isinstance(config, Mapping) and is_true(config.get("skipACL"))


def setting_problem(key: str, value: object) -> str | None:
    """What is wrong with one entry of ``zookeeper_config``, and the remedy; None if nothing."""
    if problem := password_problem("zookeeper_config", key):
        return problem
    if why := _refused(key):
        return f"zookeeper_config sets {key}: {why}."
    if key not in KNOWN and not key.startswith(PREFIXES):
        close = difflib.get_close_matches(key, KNOWN | OWNED.keys(), n=1)
        return f"zookeeper_config has the unknown key {key}: " + (
            f"did you mean {close[0]}?"
            if close
            else "a system property of your own goes to zookeeper_jvm_flags."
        )
    if isinstance(value, dict | list) or value is None or "\n" in str(value):
        shown = masked(f"{key}={value!r}").removeprefix(f"{key}=")
        return f"zookeeper_config sets {key} to {shown}: give it one number, boolean or line of text."
    return None


def parse_config(text: str) -> dict[str, str]:
    """Read a zoo.cfg (a Java properties file without the exotic parts)."""
    lines = (line.strip() for line in text.splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith(("#", "!")))
    return {key.strip(): value.strip() for key, equals, value in pairs if equals}


def in_force(*texts: str | None) -> dict[str, str]:
    """The first zoo.cfg that there is, read; empty if there is none.

    In force is what the server was started with, before what waits on disk for its next start.
    """
    return parse_config(next((text for text in texts if text), ""))


def directories(config: dict[str, str], data_dir: str, txnlog_dir: str) -> tuple[str, str]:
    """Where a server has its data and its transaction log.

    ``config`` is what is in force. Where there is none yet, they are what the inventory says (the other two).
    """
    if not config:
        return data_dir, txnlog_dir
    data_dir = config.get("dataDir", data_dir)
    return data_dir, config.get("dataLogDir", data_dir)


def client_port(config: dict[str, str]) -> int | None:
    """The port that a zoo.cfg names; None if it names none that could be."""
    port = config.get("clientPort", "")
    return int(port) if port.isdecimal() else None


def tls_port(config: dict[str, str]) -> int | None:
    """The same for clients with TLS."""
    port = config.get("secureClientPort", "")
    return int(port) if port.isdecimal() else None


def server_address(line: str) -> tuple[str, int, int]:
    """Host and the two ports of a member, from ``host:port:port`` or that with ``:observer``; 0 for none."""
    found = re.fullmatch(r"(.*?)(?::(\d+))?(?::(\d+))?(?::observer)?", line)
    host, quorum, election = found.groups() if found else (line, None, None)
    return host.strip("[]"), int(quorum or 0), int(election or 0)
