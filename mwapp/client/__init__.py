"""mwapp for Python programs: submit tasks, wait for them, cancel them (docs/python.md)."""
