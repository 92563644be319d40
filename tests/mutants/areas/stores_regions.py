"""Regions on shared storage, an example: what its owners may forget."""

from functools import partial

from tests.mutants.killers import pytest
from tests.mutants.mutant import Mutant

KILLERS = (pytest("tests/unit/test_stores_regions.py"),)

region = partial(Mutant, "examples/stores/stores/regions/region.py")
files = partial(Mutant, "examples/stores/stores/regions/files.py")
contents = partial(Mutant, "examples/stores/stores/regions/contents.py")
ranges = partial(Mutant, "examples/stores/stores/regions/ranges.py")

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
        "                size += len(key) + len(value)\n        self._check()",
        "                size += len(key) + len(value)",
        "an owner with a successor answers scans",
    ),
    region(
        "files.numbers(self._place)[-1:] > [self._generation]",
        "files.numbers(self._place)[-1:] >= [self._generation]",
        "nobody owns anything",
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
]
