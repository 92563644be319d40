"""A long-running role: signals, systemd, the session file, the status endpoint."""
