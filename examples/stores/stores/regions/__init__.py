"""A sorted table in ranges of keys, each range a shard of shared data: HBase's picture (docs/stores.md).

What workers run is ``stores.regions:Region``; programs use ``stores.regions.client.Regions``, people
``python -m stores.regions``.
"""

from stores.regions.handler import Region

__all__ = ["Region"]
