"""What is kept of what a command or a handler writes."""

from mwapp.core.protocol import MAX_OUTPUT_BYTES

# What the worker has to say of a run begins with this, and is the last line of its output.
REMARK = "mwapp: "


class Output:
    """Keeps the beginning and the end of what was written, at most ``limit`` bytes and a mark between."""

    def __init__(self, limit: int = MAX_OUTPUT_BYTES) -> None:
        self._half = limit // 2
        self._head = bytearray()
        self._tail = bytearray()
        self._left_out = 0

    def write(self, data: bytes) -> None:
        """Add what came next."""
        room = self._half - len(self._head)
        self._head += data[:room]
        self._tail += data[room:]
        excess = len(self._tail) - self._half
        if excess > 0:
            del self._tail[:excess]
            self._left_out += excess

    def write_line(self, text: str) -> None:
        """Add a line of its own."""
        before = self._tail or self._head
        between = "" if not before or before.endswith(b"\n") else "\n"
        self.write(f"{between}{text}\n".encode(errors="replace"))

    @property
    def truncated(self) -> bool:
        """Whether anything was left out."""
        return self._left_out > 0

    def value(self) -> bytes:
        """What was kept."""
        mark = b"\n[... %d bytes left out ...]\n" % self._left_out if self._left_out else b""
        return bytes(self._head + mark + self._tail)
