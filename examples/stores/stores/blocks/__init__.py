"""A file store in blocks, HDFS's picture on shards of mwapp (docs/stores.md).

The table's shards are groups of blocks. ``node`` is the handler, a data node's part of one group; ``disk`` is
what it stores. ``names`` is what the name node knows, in the ensemble. ``files`` is the client.
"""
