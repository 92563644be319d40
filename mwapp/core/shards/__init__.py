"""Tables of shards: assignments that last, each with one fenced owner. See docs/shards.md."""
