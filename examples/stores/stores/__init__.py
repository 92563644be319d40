"""Three small stores on shards: a table of ranges, a log, a file store (docs/stores.md)."""
