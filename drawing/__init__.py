"""Pictures: shapes and colours, for the demo's report and for the figures of the benchmarks."""
