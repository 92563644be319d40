"""What tests, scenarios and benchmarks share: a real ensemble, daemons, playbooks, waiting, evidence."""
