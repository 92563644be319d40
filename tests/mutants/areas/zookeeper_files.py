"""The module zookeeper_files: directories, files and links, those of a running server held back."""

from functools import partial

from tests.mutants.killers import pytest
from tests.mutants.mutant import Mutant

KILLERS = (pytest("tests/unit/test_zookeeper_files.py"),)

files = partial(Mutant, "plugins/modules/zookeeper_files.py")

MUTANTS = [
    files("if keys := keys_for_all(files):", "if keys := []:", "a key is readable for everybody"),
    files(
        'not one["secret"] and ANY_KEY in one["content"]',
        'ANY_KEY in one["content"]',
        "no server gets its key",
    ),
    files('not one["content"].strip()]', "False]", "a server gets an empty key"),
    files("if empty and not module.check_mode:", "if empty:", "a check before the first run fails"),
    files(" or ANY_KEY in text", "", "a key that goes is shown in the difference"),
    files('given["hold"] and entry["restart"]', 'given["hold"]', "tools wait, too"),
    files('given["hold"] and entry["restart"]', 'entry["restart"]', "zoo.cfg is never placed"),
    files(
        'given["hold"] and entry["restart"]',
        "False",
        "a server that crashes comes up with a configuration that nobody has tried",
    ),
    files(
        'if held and _text(Path(entry["path"])) != entry["content"]:',
        "if held:",
        "every run restarts every server",
    ),
    files(
        'elif _target(Path(entry["path"])) != entry["target"]:', "else:", "every run restarts every server"
    ),
    files('if not given["hold"]:', "if True:", "the link says what does not run yet"),
    files("if self.module.check_mode:", "if False:", "check mode makes directories", at="Placer.directory"),
    files("if not self.module.check_mode:", "if True:", "check mode writes files", at="Placer.file"),
    files("if self.module.check_mode:", "if False:", "check mode turns links", at="Placer.link"),
    files("path.mkdir(0o700, parents=True)", "path.mkdir(0o700)", "no directory where its parent is missing"),
    files(
        "path.mkdir(0o700, parents=True)", "path.mkdir(parents=True)", "everybody may enter it for a moment"
    ),
    files(
        "path.mkdir(0o700, parents=True)",
        "path.mkdir(0o700, parents=True)\n            return",
        "a new directory is root's until the next run",
    ),
    files(
        "self._attributes(path.resolve(), entry)",
        "self._attributes(path, entry)",
        "the link is the server's, and its data are not",
    ),
    files(
        "        if path.is_symlink() and not path.exists():\n",
        "        if False:\n",
        "a link to nothing ends the run with a traceback",
    ),
    files(
        "        if path.exists() and not path.is_dir():\n",
        "        if False:\n",
        "a file in the way ends the run with a traceback",
    ),
    files(
        "if path.exists() and not path.is_symlink():",
        "if False:",
        "a directory that is in the way is replaced, or ends the run",
    ),
    files(
        '{**entry, "owner": "root"}',
        '{"owner": "root", **entry}',
        equivalent="a file has no owner among its arguments",
    ),
    files(
        '{**entry, "owner": "root"}',
        '{**entry, "owner": "root", "group": "root"}',
        "the server cannot read it",
    ),
    files(
        "            self._attributes(path, entry)\n            return\n",
        "            return\n",
        "the mode of a file is never put right",
    ),
    files("masked(before), masked(after)", "before, masked(after)", "the old password is in the diff"),
    files("masked(before), masked(after)", "masked(before), after", "the new password is in the diff"),
    files("if shown == new:", "if False:", "that a secret differs is not told"),
    files("if shown == new:", "if True:", "of every secret it is told that it differs"),
    files(
        "            new.replace(path)\n        finally",
        '            path.write_text(entry["content"])\n        finally',
        "half of a file can be seen",
    ),
    files(
        "            new.replace(path)\n        finally",
        "            self.module.atomic_move(str(new), str(path))\n"
        "            self._attributes(path, entry)\n        finally",
        "for a moment everybody can read a new key",
    ),
    files(
        "            self.module.set_fs_attributes_if_different(self._wanted(new, entry), False)\n"
        "            new.replace(path)\n",
        "            new.replace(path)\n            self._attributes(path, entry)\n",
        "a server that starts just then cannot read its new key",
    ),
    files(
        "dir=path.parent, prefix",
        "prefix",
        "where /tmp is another file system nothing is placed, and half of a file may be seen elsewhere",
    ),
    files("new.unlink(missing_ok=True)\n\n", "pass\n\n", "what does not fit on the disk is left there"),
    files("in (errno.ENOSPC, errno.EDQUOT)", "in ()", "a full disk has no remedy"),
    files("os.umask(0o022)", "pass", "directories that only root can enter"),
    files('if now == entry["content"]:', "if now is not None:", "a change is never placed"),
    files(
        '(now or "", entry["content"])',
        '(entry["content"], now or "")',
        "the difference is shown the wrong way round",
    ),
    files(
        "changed=placer.changed", "changed=bool(waiting) or placer.changed", "a second run changes something"
    ),
    files(
        "self.changed = True\n            self.diffs.append(diff)",
        "self.diffs.append(diff)",
        "an owner is put right in silence",
    ),
    files(
        "self.changed = True\n        shown",
        "shown",
        "a file is placed in silence",
    ),
    files(
        "if self.module.check_mode and not _known(entry):",
        "if self.module.check_mode:",
        "check mode sees no owner that is wrong",
    ),
    files(
        "if self.module.check_mode and not _known(entry):",
        "if not _known(entry):",
        "data of a user that is not there are root's",
    ),
    files(
        "if self.module.check_mode and not _known(entry):",
        "if False:",
        "a check before the first run fails",
    ),
    files('        grp.getgrnam(entry["group"])\n', "", "a check before the first run fails"),
    files('("owner", "group", "mode")', '("owner", "mode")', "the group is never put right"),
    files('("owner", "group", "mode")', '("owner", "group")', "the mode is never put right"),
    files(
        "new.unlink(missing_ok=True)", "pass", "a run that was cut short is never made good", at="Placer.link"
    ),
    files("new.unlink(missing_ok=True)", "new.unlink()", "no link at all", at="Placer.link"),
    files(
        "new.replace(path)",
        "path.unlink(missing_ok=True)\n            new.rename(path)",
        "for a moment there is no link",
        at="Placer.link",
    ),
    files(
        'path.read_bytes().decode(errors="replace")',
        'path.read_text(errors="replace")',
        "ends of lines are not looked at",
    ),
    files("if _target(path) == target:", "if path.is_symlink():", "a link is never turned"),
    files(
        "str(path.readlink()) if path.is_symlink()",
        "str(path.resolve()) if path.is_symlink()",
        "a link is turned by every run",
    ),
    files('"default": "0644"}', '"default": "0600"}', "the server cannot read its configuration"),
    files(
        '"restart": {"type": "bool", "default": False}',
        '"restart": {"type": "bool", "default": True}',
        "tools wait, too",
    ),
    files("Path(os.path.realpath(top))", "top", "the link is the server's, and where its data are is not"),
    files("not in (None, user)]", "not in (None,)]", "every run changes the owner of the data"),
    files('(top, *top.rglob("*"))', '(top, *top.glob("*"))', "not all the data are given to their server"),
    files(
        "for path in [] if self.module.check_mode else strange:", "for path in strange:", "check mode changes"
    ),
    files(
        'entry["contents"] and _known(entry)',
        'entry["contents"]',
        "no check before the user is there",
    ),
    files("supports_check_mode=True", "supports_check_mode=False", "check mode sees nothing"),
]
