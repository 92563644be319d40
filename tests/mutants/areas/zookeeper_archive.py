"""Releases from archives: the module zookeeper_archive, and the action plugin that sends it a file."""

from functools import partial

from tests.mutants.killers import pytest
from tests.mutants.mutant import Mutant

KILLERS = (pytest("tests/unit/test_zookeeper_archive.py", "tests/unit/test_zookeeper_archive_action.py"),)

archive = partial(Mutant, "plugins/modules/zookeeper_archive.py")
action = partial(Mutant, "plugins/action/zookeeper_archive.py")

MUTANTS = [
    archive(
        "expected.keys() ^ (present - {SUMS})", "expected.keys() - present", "a jar too many is not seen"
    ),
    archive(
        "expected.keys() ^ (present - {SUMS})",
        "(present - {SUMS}) - expected.keys()",
        "a jar that is missing is not seen",
    ),
    archive(
        "if digest(home / name) != expected[name]}",
        "if not (home / name).stat().st_size}",
        "a jar that was altered is not seen",
    ),
    archive("if path.is_symlink() or path.is_file()}", "if path.is_file()}", "a link to nowhere is not seen"),
    archive(
        "sorted(differing) if expected else [str(home)]", "sorted(differing)", "an empty directory is whole"
    ),
    archive(
        '"changed": bool(found)',
        '"changed": bool(found) and not module.check_mode',
        "check mode hides what is to be done",
    ),
    archive('"changed": bool(found)', '"changed": True', "a second run changes something"),
    archive(
        'source is None and "://" not in archive',
        "source is None",
        "what is at a URL is asked of the controller",
    ),
    archive(
        'source is None and "://" not in archive',
        '"://" not in archive',
        "a file is asked for again and again",
    ),
    archive('not result["wanted"] and not module.check_mode', 'not result["wanted"]', "check mode downloads"),
    archive(
        'not result["wanted"] and not module.check_mode',
        "not module.check_mode",
        "the controller's path is taken for a URL",
    ),
    archive(".split()[0].lower()", ".split()[0]", "a checksum in capitals is another"),
    archive(".split()[0].lower()", ".lower()", "the .sha512 file's own line is no checksum"),
    archive('        verify(source or work / "archive", archive, checksum)\n', "", "anything is unpacked"),
    archive("if seen != checksum:", "if seen[:16] != checksum[:16]:", "a checksum in part"),
    archive("if source is None:", "if source is not None:", "nothing is downloaded"),
    archive(", at_most(DOWNLOAD_SECONDS):", ":", "who sends a byte now and then holds the run up for hours"),
    archive("if left < 0:", "if False:", "what never ends fills the disk"),
    archive("if left < 0:", "if left <= 0:", "one that is just as large is refused"),
    archive(
        'unpack(source or work / "archive", work / "new", archive)',
        'unpack(source or work / "archive", home, archive)',
        "half of a release can be seen",
    ),
    archive("    require_release(unpacked, archive)\n", "", "sources are installed"),
    archive('("zookeeper", "logback-classic")', '("zookeeper",)', "3.7 is installed, which cannot be set up"),
    archive('or ".." in name.parts:', ":", "an archive writes where it likes"),
    archive(
        "0o755 if member.mode & 0o100 else 0o644", "member.mode", "files that the service user cannot read"
    ),
    archive("0o755 if member.mode & 0o100 else 0o644", "0o644", "scripts that cannot be run"),
    archive("os.umask(0o022)", "pass", "directories that the service user cannot enter"),
    archive(
        "(tarfile.TarError, EOFError)",
        "tarfile.TarError",
        "an archive that was cut short ends the run with a traceback",
    ),
    archive("os.sync()", "pass", "after a power cut files are empty"),
    archive(
        'if left := getattr(answer, "length", None):',
        "if left := None:",
        "of an archive that came in part it is said that it cannot be trusted",
    ),
    archive(
        "HTTPException, TlsError", "TlsError", "a server that speaks something else ends it with a traceback"
    ),
    archive("if home.exists():", "if True:", "nothing can be installed first"),
    archive(
        "        home.rename(aside)\n",
        "        shutil.rmtree(home)\n",
        "a run that is cut short leaves no release",
    ),
    archive(
        "shutil.rmtree(work, ignore_errors=True)  # of",
        "pass  # of",
        "one run that was cut short prevents all others",
    ),
    archive(
        "    finally:\n        shutil.rmtree(work, ignore_errors=True)\n",
        "    finally:\n        pass\n",
        "remains are left behind",
    ),
    archive(
        "except OSError as error:\n        raise RefusalError(explain",
        "except FileNotFoundError as error:\n        raise RefusalError(explain",
        "a full disk ends the run with a traceback",
    ),
    archive("(errno.ENOSPC, errno.EDQUOT)", "(errno.EDQUOT,)", "a full disk is not called that"),
    archive('result["removed"] = prune(home)', "", "releases pile up"),
    archive(
        'keep = {home.name, "current", (parent / "current").resolve().name}',
        'keep = {home.name, "current"}',
        "what the link points to is removed",
    ),
    archive(
        'keep = {home.name, "current", (parent / "current").resolve().name}',
        'keep = {"current", (parent / "current").resolve().name}',
        "the new release is removed",
    ),
    archive("    keep |= {\n", "    _ = {\n", "what the running server was started from is removed"),
    archive("and (path / SUMS).is_file()]", "]", "what is not ours is removed"),
    archive("if parent in Path(path).parents", "", "a server from packages ends the run"),
    archive("restored(home) if found else []", "[]", "a repair restarts servers for nothing"),
    archive(
        "if started.get(path) == sum_]",
        "if path in started]",
        "a server that was started with what was broken is not restarted",
    ),
    archive(
        "    except urllib.error.HTTPError as error:\n",
        "    except ZeroDivisionError as error:\n",
        "what the server answers is not told",
    ),
    archive(
        "TlsError, TimeoutError, ConnectionError)",
        "TlsError)",
        "a connection that is cut ends the run with a traceback",
    ),
    archive("timeout=TIMEOUT_SECONDS, ", "", "another time-out"),
    archive("supports_check_mode=True", "supports_check_mode=False", "check mode sees nothing"),
    archive(
        "Nothing that runs was touched: {refusal}",
        "{refusal}",
        "an operator at night does not know what was touched",
    ),
    action(
        'if said := problem(archive, str(arguments["checksum"])):', "if False:", "settings are not judged"
    ),
    action('if not result.get("wanted"):', "if False:", "the file is sent to hosts that have the release"),
    action("if not Path(archive).is_file():", "if False:", "a file that is not there ends with a traceback"),
    action("        if self._task.check_mode:\n            return result\n", "", "check mode sends files"),
    action("            self._remove_tmp_path(directory)", "            pass", "files are left on hosts"),
    action(
        "return result | self._module(arguments, task_vars)", "return result", "what was sent is not unpacked"
    ),
    action(
        "return result | self._module(arguments, task_vars)",
        "return self._module(arguments, task_vars) | result",
        "still wanted",
    ),
    action(
        'self._transfer_file(archive, arguments["source"])',
        'self._transfer_file(arguments["source"], archive)',
        "the wrong way",
    ),
    action("except AnsibleError as error:", "except OSError as error:", "a full /tmp is not explained"),
    action('not archive.startswith("/")', "False", "a relative path is looked for somewhere"),
    action("if parts.username or parts.password:", "if parts.password:", "a user name is in the log"),
    action("sha512[2] and sha512[2] != name", "sha512[2] != name", "a bare checksum is none"),
    action('"changed": False, "msg"', '"changed": True, "msg"', "failed and changed"),
]
