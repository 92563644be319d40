"""Kafka's picture: logs to append to, in partitions, each with a leader and followers (docs/stores.md).

A topic is a table, a partition a shard; each replica has a log of its own (``mwapp shards create --own``).
``log`` is its file, ``in_sync`` says when a record is acknowledged, ``replica`` is what a worker runs,
``follower`` is how it follows the leader, ``topic`` is for programs.
"""

from stores.partitions.replica import Partition

__all__ = ["Partition"]  # workers import this: what only programs need would take them long
