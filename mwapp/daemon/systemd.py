"""What a service tells systemd (sd_notify). Does nothing if systemd did not start the process."""

import os
import socket


class Notifier:
    """Talks to the service manager. It must never block the service: it does not wait until a message is
    accepted."""

    def __init__(self) -> None:
        # Removed from the environment: what the service starts must not speak in its name.
        address = os.environ.pop("NOTIFY_SOCKET", "")
        microseconds = os.environ.pop("WATCHDOG_USEC", "")
        pid = os.environ.pop("WATCHDOG_PID", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) if address else None
        if self._socket is not None:
            self._socket.setblocking(False)
        mine = pid in ("", str(os.getpid()))
        self.watchdog = int(microseconds) / 1e6 if mine and microseconds.isdecimal() else None
        """How often systemd wants to hear from the main loop, seconds; None: never."""

    def send(self, **fields: str | int) -> bool:
        """Send, for example, ``READY=1, STATUS="..."``; False: not accepted, perhaps because there are too
        many."""
        if self._socket is None:
            return True
        message = "\n".join(f"{name}={value}" for name, value in fields.items())
        try:
            self._socket.sendto(message.encode(), self._address)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Send nothing more."""
        if self._socket is not None:
            self._socket.close()
