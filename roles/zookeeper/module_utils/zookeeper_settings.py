"""The keys of zoo.cfg.

ZooKeeper takes an unknown key for a system property and says nothing, so a misspelt key would go unnoticed.
"""

from __future__ import annotations

import difflib

# Keys this role writes itself, and the variable to use for each.
OWNED = {
    "dataDir": "zookeeper_data_dir",
    "dataLogDir": "zookeeper_txnlog_dir",
    "clientPort": "zookeeper_client_port",
    "tickTime": "zookeeper_tick_time",
    "initLimit": "zookeeper_init_limit",
    "syncLimit": "zookeeper_sync_limit",
    "maxClientCnxns": "zookeeper_max_client_connections",
    "autopurge.snapRetainCount": "zookeeper_purge_keep",
    "autopurge.purgeInterval": "zookeeper_purge_hours",
    "4lw.commands.whitelist": "zookeeper_4lw_whitelist",
    "admin.enableServer": "zookeeper_admin_server",
    "admin.serverPort": "zookeeper_admin_port",
    "admin.serverAddress": "zookeeper_admin_server (always on loopback)",
}
# Membership belongs to the inventory, and a file ZooKeeper rewrites cannot be kept by the role.
REFUSED = ("server.", "dynamicConfigFile", "peerType", "reconfigEnabled")
PREFIXES = (
    "DigestAuthenticationProvider.",
    "IPAuthenticationProvider.",
    "SASLAuthenticationProvider.",
    "X509AuthenticationProvider.",
    "authProvider.",
    "group.",
    "metricsProvider.",
    "quorum.auth.",
    "ssl.",
    "weight.",
)
# fmt: off
KNOWN = frozenset((
    "admin.commandURL", "admin.forceHttps", "admin.httpVersion", "admin.idleTimeout",
    "admin.needClientAuth", "admin.portUnification", "admin.rateLimiterIntervalInMS",
    "admin.restore.enabled", "admin.snapshot.enabled", "allowSaslFailedClients", "audit.enable",
    "audit.impl.class", "bitHashCacheSize", "client.certReload", "client.portUnification",
    "clientPortAddress", "clientPortListenBacklog", "clientTcpKeepAlive", "closeSessionTxn.enabled",
    "cnxTimeout", "commitLogCount", "commitProcessor.maxCommitBatchSize",
    "commitProcessor.maxReadBatchSize", "commitProcessor.numWorkerThreads",
    "commitProcessor.shutdownTimeout", "connectToLearnerMasterLimit", "connection_throttle_decrease_ratio",
    "connection_throttle_drop_decrease", "connection_throttle_drop_increase",
    "connection_throttle_fill_count", "connection_throttle_fill_time", "connection_throttle_freeze_time",
    "connection_throttle_global_session_weight", "connection_throttle_local_session_weight",
    "connection_throttle_renew_session_weight", "connection_throttle_tokens",
    "connection_throttle_weight_enabled", "datadir.autocreate", "db.autocreate", "digest.enabled",
    "electionAlg", "electionPortBindRetry", "emulate353TTLNodes", "enableEagerACLCheck",
    "enforce.auth.enabled", "enforce.auth.schemes", "enforceQuota", "ensembleAuthName",
    "extendedTypesEnabled", "fastleader.maxNotificationInterval", "fastleader.minNotificationInterval",
    "flushDelay", "follower.skipLearnerRequestToNextProcessor", "forceSnapshotSync", "forceSync",
    "forward_learner_requests_to_commit_processor_disabled", "fsync.warningthresholdms",
    "globalOutstandingLimit", "intBufferStartingSizeBytes", "jvm.pause.info-threshold.ms",
    "jvm.pause.monitor", "jvm.pause.sleep.time.ms", "jvm.pause.warn-threshold.ms",
    "kerberos.canonicalizeHostNames", "kerberos.minReLoginTimeMs", "kerberos.removeHostFromPrincipal",
    "kerberos.removeRealmFromPrincipal", "kinit", "largeRequestMaxBytes", "largeRequestThreshold",
    "leader.ackLoggingFrequency", "leader.closeSocketAsync", "leader.maxConcurrentDiffSyncs",
    "leader.maxConcurrentSnapSyncs", "leader.maxTimeToWaitForEpoch", "leaderConnectDelayDuringRetryMs",
    "leaderServes", "learner.asyncSending", "learner.closeSocketAsync", "letAnySaslUserDoX",
    "localSessionsEnabled", "localSessionsUpgradingEnabled", "maxBatchSize", "maxCnxns",
    "maxGetChildrenResponseCacheSize", "maxInProcessingDeadWatchers", "maxResponseCacheSize",
    "maxSessionTimeout", "maxWriteQueuePollTime", "messageTracker.BufferSize", "messageTracker.Enabled",
    "minSessionTimeout", "multiAddress.enabled", "multiAddress.reachabilityCheckEnabled",
    "multiAddress.reachabilityCheckTimeoutMs", "netty.advancedFlowControl.enabled",
    "netty.server.earlyDropSecureConnectionHandshakes", "netty.server.outstandingHandshake.limit",
    "nio.directBufferBytes", "nio.numSelectorThreads", "nio.numWorkerThreads", "nio.sessionlessCnxnTimeout",
    "nio.shutdownTimeout", "observer.election.DelayMs", "observer.reconnectDelayMs", "observer.syncEnabled",
    "observerMaster.sizeLimit", "observerMasterPort", "oraclePath", "pathStats.delay", "pathStats.enabled",
    "pathStats.initialDelay", "pathStats.maxDepth", "pathStats.sampleRate", "pathStats.slotCapacity",
    "pathStats.slotDuration", "pathStats.topPathMax", "portUnification", "preAllocSize",
    "quorum.cnxn.threads.size", "quorumCnxnTimeoutMs", "quorumListenOnAllIPs", "request.timeout",
    "request_stale_connection_check", "request_stale_latency_check", "request_throttle_drop_stale",
    "request_throttle_max_requests", "request_throttle_stall_time", "request_throttler.shutdownTimeout",
    "requireKerberosConfig", "secureClientPort", "secureClientPortAddress", "security.auth_to_local",
    "serializeLastProcessedZxid.enabled", "server.principal", "server.realm", "serverCnxnFactory",
    "sessionRequireClientSASLAuth", "skipACL", "snapCount", "snapSizeLimitInKb",
    "snapshot.compression.method", "snapshot.trust.empty", "snapshotSizeFactor", "sslQuorum",
    "sslQuorumReloadCertFiles", "standaloneEnabled", "superUser", "syncEnabled", "tcpKeepAlive",
    "throttled_op_wait_time", "txnLogSizeLimitInKb", "watchManagerName", "watcherCleanIntervalInSeconds",
    "watcherCleanThreadsNum", "watcherCleanThreshold",
))
# fmt: on


def setting_problem(key: str, value: object) -> str | None:
    """What is wrong with one entry of ``zookeeper_config``, and the remedy; None if nothing."""
    if key in OWNED:
        return f"zookeeper_config sets {key}: set {OWNED[key]} instead."
    if key not in KNOWN and key.startswith(REFUSED):
        return f"zookeeper_config sets {key}: remove it, the members come from the group `zookeeper`."
    if key not in KNOWN and not key.startswith(PREFIXES):
        close = difflib.get_close_matches(key, KNOWN | OWNED.keys(), n=1)
        return f"zookeeper_config has the unknown key {key}: " + (
            f"did you mean {close[0]}?"
            if close
            else "a system property of your own goes to zookeeper_jvm_flags."
        )
    if isinstance(value, dict | list) or value is None or "\n" in str(value):
        return f"zookeeper_config sets {key} to {value!r}: give it one number, boolean or line of text."
    return None


def parse_config(text: str) -> dict[str, str]:
    """Read a zoo.cfg (a Java properties file without the exotic parts)."""
    lines = (line.strip() for line in text.splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith(("#", "!")))
    return {key.strip(): value.strip() for key, equals, value in pairs if equals}
