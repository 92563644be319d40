"""The file store of the examples: blocks, who must have them, files, and gc."""

from functools import partial

from tests.mutants.killers import pytest
from tests.mutants.mutant import Mutant

KILLERS = (
    pytest("tests/unit/test_stores_blocks.py"),
    pytest("tests/unit/test_stores_blocks_files.py"),
    pytest("tests/integration/test_store_blocks.py"),
)

disk = partial(Mutant, "examples/stores/stores/blocks/disk.py")
standing = partial(Mutant, "examples/stores/stores/blocks/standing.py")
node = partial(Mutant, "examples/stores/stores/blocks/node.py")
names = partial(Mutant, "examples/stores/stores/blocks/names.py")
files = partial(Mutant, "examples/stores/stores/blocks/files.py")

MUTANTS = [
    # ---------------------------------------------------------------- on the disk
    disk(
        "            os.fsync(file.fileno())\n",
        "",
        "a block has its name before it is on the disk",
    ),
    disk(
        "        if there != its:\n",
        "        if False:\n",
        "a block that is there with other data is acknowledged",
    ),
    disk(
        '        if head != f"{checksum(data)}\\n".encode():\n',
        "        if len(head) < _HEAD:\n",
        "a damaged block is read as a whole one",
    ),
    disk(
        "                os.unlink(name, dir_fd=self._directory)\n",
        "                pass\n",
        "what was being written at a power cut stays for ever",
    ),
    disk(
        "    if not directory.is_dir() or top in directory.parents:\n",
        "    if not directory.is_dir():\n",
        "a directory is taken to be on the disk whose maker has died before it was",
    ),
    disk(
        'mine = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=self._directory)',
        "mine = os.dup(self._directory)",
        "of two who list at once each sees a part",
    ),
    disk(
        "        raise BrokenError(str(problem)) from problem\n",
        "        raise\n",
        "an error of the disk is taken for one of the network",
    ),
    # ---------------------------------------------------------------- who must have it
    standing(
        "            if self._seen > self._generation:\n",
        "            if False:\n",
        "a primary that was told of a later generation goes on to acknowledge",
    ),
    standing(
        "            if not self._primary:\n",
        "            if False:\n",
        "who is not the primary any more acknowledges",
    ),
    standing(
        "            if 1 + len(self._must) < self._least:\n",
        "            if False:\n",
        "one replica alone acknowledges",
    ),
    standing(
        "            wanted = self._must | self._joining.keys()\n",
        "            wanted = self._must\n",
        "who copies gets nothing of what is new meanwhile",
    ),
    standing(
        "if have.get(name) != self._generation}",
        "if name not in have}",
        "what somebody took under an earlier generation counts",
    ),
    standing(
        "            if worker not in self._must and self._joining.get(worker) != attempt:\n",
        "            if False:\n",
        "a copy that has missed a block counts as in sync",
    ),
    standing(
        "            if attempt <= self._attempts.get(worker, 0):\n",
        "            if False:\n",
        "a request to join that comes late hides that a block was missed",
    ),
    standing(
        "            self._must.add(worker)\n",
        "            pass\n",
        "after a copy has joined, blocks are acknowledged without it",
    ),
    standing(
        "self._must, self._joining, self._attempts = in_sync, {}, {}\n",
        "self._must, self._attempts = self._must | in_sync, {}\n",
        "who has joined under an earlier generation counts under this one",
    ),
    # ---------------------------------------------------------------- data nodes
    node(
        '        return Message({"generation": self._standing.obey(generation)})\n',
        '        return Message({"generation": generation})\n',
        "a block counts that a replica has stored after it was promoted",
    ),
    node(
        '        if do is None or request.fields.get("to") != own:\n',
        "        if do is None:\n",
        "who has the port of another one now takes what is for that",
    ),
    node(
        '        if checksum(request.body) != request.fields["checksum"]:\n',
        "        if False:\n",
        "a block that was damaged on its way is stored",
    ),
    node(
        "        if seen > generation:\n            self._standing.overtaken(seen)\n",
        "",
        "a primary that was replaced holds up its clients for as long as it has patience",
    ),
    node(
        "            self._other_disk = True\n",
        "            self._disk.note_complete()\n",
        "an empty disk is taken for what everybody had",
    ),
    node(
        '        return state != "copy" or self._caught_up == self._term.generation\n',
        '        return state != "copy" or self._caught_up > 0\n',
        "a copy counts under a generation whose primary it has not joined",
    ),
    node(
        "        self._disk.replace(block, data)\n",
        "",
        "a damaged block is not repaired",
    ),
    node(
        '        self._call(term.primary, {"do": "join", **about})\n',
        "",
        "a replica copies and does not get what is new meanwhile",
    ),
    node(
        "        except BrokenError as problem:\n            self._give_up(problem)\n        except OSError as",
        "        except (BrokenError, OSError) as",
        "a replica whose disk is broken refuses, and nobody goes on without it",
    ),
    node(
        "                except (OSError, RefusedError):  # of",
        "                except (OSError, RefusedError, BrokenError):  # of",
        "a copy whose disk is broken tries for ever",
    ),
    node(
        "            traceback.print_exc()\n            os._exit(1)\n",
        "            traceback.print_exc()\n",
        "a copy that cannot go on looks like one that copies",
    ),
    node(
        "            except OSError as problem:\n                silent = problem\n",
        "            except OSError:\n                continue\n",
        "a block is taken for lost because nobody answered",
    ),
    # ---------------------------------------------------------------- files, and gc
    names(
        "        return bool(self.writers()) or any(",
        "        return any(",
        "an empty disk is taken for a new group, while somebody writes",
    ),
    names(
        '            transaction.delete(f"{self._writing}/{file.writer}")\n',
        '            transaction.check(f"{self._writing}/{file.writer}", 0)\n',
        "a file is there, and its writer, too: a lost reply makes it twice",
    ),
    names(
        '                transaction.delete(f"{where}/{before.writer}")\n',
        "",
        "a file is replaced that somebody else has replaced meanwhile",
    ),
    names(
        '                transaction.delete(f"{where}/{before.writer}")\n',
        '                transaction.delete(f"{where}/{self.read(file.path).writer}")\n',
        "a file is replaced that was deleted and made again meanwhile",
    ),
    names(
        "            if file is not None and file.writer == before.writer:\n",
        "            if file is not None and file.writer == before.writer:\n                return\n",
        "what a person has made in place of a file is said to be deleted, and is there",
    ),
    names(
        'f"{FILES}/{table}", f"{WRITING}/{table}"\n',
        'f"{FILES}/{table}", WRITING\n',
        "who writes into another table is among the writers of this one",
    ),
    names(
        '            raise ConnectionError("a fork',
        '            print("a fork',
        "a process that was forked waits for ever for threads that it has not got",
    ),
    files(
        "left |= set(later if not now or groups.remove(at, now) else found)",
        "left |= set(later if not now or groups.remove(at, now) else later)",
        "gc says that blocks are removed which somebody has still got",
    ),
    files(
        "                found[group, worker] = None\n",
        "",
        "gc does not say of whom it has heard nothing",
    ),
    files(
        ' and block.partition("-")[0] not in writers',
        "",
        "gc removes blocks of a file that is being written",
    ),
    files(
        "    answers = groups.listed()\n    writers = names.writers()\n",
        "    writers = names.writers()\n    answers = groups.listed()\n",
        "gc takes blocks of a writer who began after it has looked for garbage",
    ),
    files(
        "    writers = names.writers()\n"
        "    used = {block.name for file in names.all() for block in file.blocks}\n",
        "    used = {block.name for file in names.all() for block in file.blocks}\n"
        "    writers = names.writers()\n",
        "gc removes the blocks of a file that was made after it has looked at the files",
    ),
]
