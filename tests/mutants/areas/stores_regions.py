"""Regions on shared storage, an example: what its owners may forget."""

from functools import partial

from tests.mutants.killers import pytest
from tests.mutants.mutant import Mutant

KILLERS = (
    pytest(
        "tests/unit/test_stores_regions_client.py",
        "tests/unit/test_stores_rpc.py",
        "tests/unit/test_stores_regions.py",
    ),
)

region = partial(Mutant, "examples/stores/stores/regions/region.py")
files = partial(Mutant, "examples/stores/stores/regions/files.py")
contents = partial(Mutant, "examples/stores/stores/regions/contents.py")
ranges = partial(Mutant, "examples/stores/stores/regions/ranges.py")
handler = partial(Mutant, "examples/stores/stores/regions/handler.py")
client = partial(Mutant, "examples/stores/stores/regions/client.py")
rpc = partial(Mutant, "examples/stores/stores/rpc.py")

MUTANTS = [
    # ---------------------------------------------------------------- the seal
    region(
        "            files.append(self._log, data)\n            self._check()",
        "            files.append(self._log, data)",
        "an owner that stood still while it wrote acknowledges what its successor has not found",
    ),
    region(
        "            value = self._contents.values.get(key)\n        self._check()",
        "            value = self._contents.values.get(key)",
        "an owner with a successor answers reads",
    ),
    region(
        "                found.append(record)\n        self._check()",
        "                found.append(record)",
        "an owner with a successor answers scans",
    ),
    region(
        "        if found > [self._generation]:",
        "        if found >= [self._generation]:",
        "nobody owns anything",
    ),
    region(
        "        if files.numbers(self._place)[-1:] > [self._generation]:\n            raise SealedError(LATER)\n",
        "",
        equivalent="it looks again before it has anything; what it has made is empty, and its successor's to remove",
    ),
    # ---------------------------------------------------------------- the storage
    region(
        "        if found != [self._generation]:",
        "        if False:",
        "an owner goes on without its storage, as if nobody had followed",
    ),
    region(
        "        if found != [self._generation]:",
        "        if not found:",
        "an owner goes on with a state of its storage that is older than itself",
    ),
    handler(
        "        if root.is_mount():",
        "        if False:",
        "the empty directory of a mount that is missing counts as an empty table",
    ),
    region(
        "            if number < self._generation and (last / SORTED).exists():",
        "            if (last / SORTED).exists():",
        equivalent="it has found the later one's directory, so it is sealed before it answers",
    ),
    region(
        "        files.sync(self._place)\n\n",
        "\n",
        "the seal is gone when the power fails, and so are the files below it",
    ),
    # ---------------------------------------------------------------- taking over
    region(
        '            files.write(self._own / f"log.{contents.log}", log[:whole])',
        '            files.write(self._own / f"log.{contents.log}", b"")',
        "the log that was taken over is not there for the next owner",
    ),
    region(
        '            files.write(self._own / f"log.{contents.log}", log[:whole])',
        '            files.write(self._own / f"log.{contents.log}", log)',
        "what comes behind a torn record is lost for the next owner",
    ),
    region(
        "                contents.apply(fields, body)\n                whole = end",
        "                whole = end",
        "the log is not read",
    ),
    region(
        "            os.rename(self._own / DRAFT, self._own / SORTED)\n            files.sync(self._own)",
        "            os.rename(self._own / DRAFT, self._own / SORTED)",
        "what was taken over is gone when the power fails",
    ),
    region(
        "            if number < self._generation:\n                shutil",
        "            if number <= self._generation:\n                shutil",
        "an owner removes its own files",
    ),
    region(
        "            if path.name not in made and int",
        "            if int",
        "what a split has made is removed before its owner has it",
    ),
    region(
        '            if path.name not in made and int(path.name.split(".")[1]) < self._generation:',
        "            if path.name not in made:",
        "a late owner removes what a split of its successor has made",
    ),
    # ---------------------------------------------------------------- the log
    region(
        "                for change in batch:\n                    change.done = ",
        "                for change in batch[:1]:\n                    change.done = ",
        "of those that wrote together the second waits for ever, or is refused",
    ),
    region(
        '            self._over = f"it cannot be written: {problem}"\n',
        "            pass\n",
        "after a failure of the disk it goes on as if it knew what is there",
    ),
    region(
        "        os.unlink(old)",
        "        pass",
        equivalent="nobody reads them, and they go with the next owner",
    ),
    files("    os.fsync(file)\n\n\ndef write", "\n\ndef write", "what is acknowledged is not on disk"),
    files(
        "    write(draft, data)\n    os.rename",
        "    draft.write_bytes(data)\n    os.rename",
        "a sorted file is not on disk",
    ),
    files("        if not length or", "        if", "a log of zeros cannot be read"),
    files(" or zlib.crc32(content) != checksum:", ":", "a torn record counts"),
    files(
        "        os.link(draft, path)",
        "        os.rename(draft, path); draft.touch()",
        "of two that change the map, the change of one is lost",
    ),
    region(
        "                self._batch.insert(0, _Change(",
        "                self._batch.append(_Change(",
        "a write that waits while its region is split is acknowledged, and lost",
    ),
    region(
        "            if change.done is None:\n                self._commit()",
        "            self._commit()",
        "those that write together go to disk one after the other",
    ),
    # ---------------------------------------------------------------- contents
    contents(
        "        if number <= self.writers.get(writer, 0):",
        "        if number < self.writers.get(writer, 0):",
        "a write that comes again is done again",
    ),
    contents(
        "        self.writers.pop(writer, None)\n",
        "",
        "who wrote just now is forgotten first",
    ),
    contents(
        "        if not self.has(key):\n            return False\n",
        "",
        "a region takes keys that are another's",
    ),
    contents(
        "        upper.writers = dict(self.writers)\n",
        "",
        "after a split a write that comes again is done again",
    ),
    contents(
        '            "writers": self.writers,\n',
        '            "writers": {},\n',
        "after a flush a write that comes again is done again",
    ),
    contents(
        '        if len(contents.keys) != head["keys"]:',
        "        if False:",
        "a torn sorted file counts as whole",
    ),
    contents(
        "        self.high = child.low\n",
        "",
        "after a split two regions have the same keys",
    ),
    contents(
        "        self.children.append(child)",
        "        pass",
        "a split is not told if its owner dies",
    ),
    # ---------------------------------------------------------------- the map
    ranges(
        "    if parent in now.reserved.values():\n        return now.reserved\n",
        "",
        "each split that fails costs a shard",
    ),
    ranges(
        "        if now.of(new.shard):\n            return now\n",
        "",
        "a split that is told twice is there twice",
    ),
    ranges(
        "        except FileExistsError:\n            continue\n",
        "        except FileExistsError:\n            return new\n",
        "a change of the map is lost",
    ),
    # ---------------------------------------------------------------- requests
    handler(
        '(fields.get("table"), fields.get("shard")) != (self.table, self.shard)',
        'fields.get("table") != self.table',
        "an owner does what is asked of another shard of its table",
    ),
    handler(
        '(fields.get("table"), fields.get("shard")) != (self.table, self.shard)',
        'fields.get("shard") != self.shard',
        "an owner does what is asked of the same shard of another table",
    ),
    handler(
        "        except (MwappError, OSError) as problem:",
        "        except ZeroDivisionError as problem:",
        "an owner dies when the ensemble does not answer in time",
    ),
    handler(
        "        except (MwappError, OSError) as problem:",
        "        except OSError as problem:",
        "who asks for a split that the ensemble refuses gets no answer",
    ),
    handler(
        "        finally:\n            self._splitting.release()",
        "        finally:\n            pass",
        "after a split that has failed there is none any more",
    ),
    client(
        'if getattr(self._thread, "process", None) != os.getpid():',
        'if not hasattr(self._thread, "process"):',
        "a write of a child is taken for one of its parent that comes again, and not done",
    ),
    client(
        "        if shards > 1:\n",
        "        if False:\n",
        "of a table over the data of another of its name only the first region is there",
    ),
    client(
        "sorted(shards, key=lambda shard: shard != own)",
        "shards",
        "who has the key is asked after others, which may stand still",
    ),
    client("min(left, most)", "most", "an operation goes on when its time is over"),
    client(
        'b"", end, self._timeout)',
        'b"", end)',
        "a split that takes longer than a second is asked for again and again, and refused",
    ),
    client(
        "length = len(key.encode())",
        "length = len(key)",
        "a map of long keys fits in no message",
    ),
    region(
        "                size += len(record)",
        "                size += len(key) + len(value)",
        "the reply to a scan of small keys is longer than a message can be",
    ),
    rpc(
        "    if len(line) > LONGEST_LINE or len(message.body) > MOST_BYTES:",
        "    if len(line) > LONGEST_LINE:",
        "who sends too much learns that the connection was closed",
    ),
    rpc(
        "    if len(line) > LONGEST_LINE or len(message.body) > MOST_BYTES:",
        "    if len(message.body) > MOST_BYTES:",
        "who sends a line that is too long learns that the connection was closed",
    ),
    rpc("if len(line) > LONGEST_LINE or", "if len(line) >= LONGEST_LINE or", "the longest line is not sent"),
    rpc(
        "self.wfile.write(_encode_reply(reply))",
        "self.wfile.write(_encode(reply))",
        "who asks for too much learns that the connection was closed",
    ),
    rpc('if own in ("", "0", "0.0.0.0"):', 'if own == "":', "clients are told an address that is theirs"),
]
