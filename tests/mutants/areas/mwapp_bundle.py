"""The module mwapp_bundle, which makes the file that installs mwapp, and install.py, which is in it."""

from functools import partial

from tests.mutants.killers import pytest
from tests.mutants.mutant import Mutant

KILLERS = (pytest("tests/unit/test_mwapp_install.py", "tests/unit/test_mwapp_bundle.py"),)

bundle = partial(Mutant, "plugins/modules/mwapp_bundle.py")
install = partial(Mutant, "roles/mwapp/files/install.py")

MUTANTS = [
    bundle("if changed and not module.check_mode:", "if changed:", "check mode builds"),
    bundle("if changed and not module.check_mode:", "if not module.check_mode:", "every run builds"),
    bundle("changed = not bundle.path.exists()", "changed = True", "a second run changes something"),
    bundle('"default": []}', '"default": ["handlers"]}', "a distribution nobody named"),
    bundle(
        'Bundle(checkout, installer, dest, module.params["handlers"])',
        "Bundle(checkout, installer, dest)",
        "handlers are left out",
    ),
    bundle('"install.py": self._installer.read_bytes(),\n', "", "another installer is the same release"),
    bundle('"pins": "\\n".join(self._pins).encode(),\n', "", "other dependencies are the same release"),
    bundle(
        '"constraints": self._constraints,\n', "", "other dependencies of dependencies are the same release"
    ),
    bundle(
        'parts |= {f"{number} {name}": content for name, content in distribution.files.items()}',
        "pass",
        "other handlers are the same release",
    ),
    bundle(
        'whole.update(f"{name} {len(content)}\\n".encode() + content)',
        'whole.update(f"{name} {len(content)}\\n".encode())',
        "what is as long is the same release",
    ),
    bundle(
        'self._mwapp |= {f"mwapp/{name}": data for name, data in read_tree(checkout / "mwapp").items()}',
        "",
        "an empty wheel",
    ),
    bundle('["pip", *project["dependencies"]]', 'project["dependencies"]', "a bundle without pip"),
    bundle(
        'except OSError as problem:\n            raise BundleError(f"{checkout} is no',
        'except PermissionError as problem:\n            raise BundleError(f"{checkout} is no',
        "a traceback",
    ),
    bundle(
        '{"__main__.py": self._installer.read_bytes(), "RELEASE"',
        '{"__main__.py": b"", "RELEASE"',
        "an installer that does nothing",
    ),
    bundle("one_of_each([*wheels.iterdir(), *built])", "one_of_each(built)", "dependencies are left out"),
    bundle('file.write(b"#!/usr/bin/env python3\\n")', "pass", "a file that no shell runs"),
    bundle("new.chmod(0o644)", "pass", "only root's controller can read it"),
    bundle("new.replace(self.path)", 'new.rename(self._dest / "bundle.pyz")', "it is built by every run"),
    bundle("bundles[:-KEPT]", "bundles[KEPT:]", "the newest are removed"),
    bundle("bundles[:-KEPT]", "[]", "bundles pile up"),
    bundle("key=_build_time)", "key=lambda file: file.name)", "the newest are removed"),
    bundle(
        "except FileNotFoundError:",
        "except NotADirectoryError:",
        "a bundle that another run removes ends this one",
        at="_build_time",
    ),
    bundle(
        '"\\n".join(self._pins).encode() + self._constraints)',
        '"\\n".join(self._pins).encode())',
        "wheels of other constraints",
        at="Bundle._download",
    ),
    bundle(
        '"\\n".join(self._pins).encode() + self._constraints)',
        "self._constraints)",
        "wheels of other pins",
        at="Bundle._download",
    ),
    bundle("        if wheels.is_dir():\n            return wheels\n", "", "every build needs the network"),
    bundle(
        '"--only-binary=:all:", "--implementation=py", "--abi=none", "--platform=any"',
        '"--only-binary=:all:"',
        "wheels for the controller's machine alone",
    ),
    bundle("*pure, constraint, ", "*pure, ", "dependencies of dependencies as they come"),
    bundle("*self._pins],\n", '*(pin.partition("=")[0] for pin in self._pins)],\n', "the newest of each"),
    bundle(
        "self._dest.mkdir(parents=True, exist_ok=True)",
        "self._dest.mkdir(exist_ok=True)",
        "no first build",
    ),
    bundle("wheels.append(distribution.wheel(scratch / str(number)))", "pass", "handlers are left out"),
    bundle(
        'path.name.endswith((".whl", ".tar.gz"))',
        'path.name.endswith(".whl")',
        "a source distribution is refused",
    ),
    bundle(
        'path.is_dir() and (path / "pyproject.toml").is_file()',
        "path.is_dir()",
        "any directory is a distribution",
    ),
    bundle(
        'return not (hidden or parts[0] in ("build", "dist") or',
        "return not (hidden or",
        "an earlier build changes the release",
    ),
    bundle('or parts[0].endswith(".egg-info"))', ")", "a tool's notes change the release"),
    bundle(
        'part.startswith(".") or part == "__pycache__"',
        'part.startswith(".")',
        "running it changes the release",
    ),
    bundle(
        'part.startswith(".") or part == "__pycache__"',
        'part == "__pycache__"',
        "a tool's cache changes the release",
    ),
    bundle(
        'parts[0] in ("build", "dist")',
        '{"build", "dist"} & set(parts)',
        "a package called build is left out",
    ),
    bundle(
        'sorted(top.rglob("*"))',
        'top.rglob("*")',
        equivalent="the order of files, which a file system keeps for one checkout",
    ),
    bundle(
        'next(source.glob("*.tar.gz"), source) if len(files) == 1 else source',
        "source",
        "a source distribution is not unpacked",
    ),
    bundle("if name in found:", "if False:", "one of two of the same wins"),
    bundle('_name(wheel.name.partition("-")[0])', 'wheel.name.partition("-")[0]', "a_b and A.B are two"),
    bundle('line.split("#")[0].strip()', "line", "a remark is handed to pip"),
    bundle("if _name(it) not in pinned]", "if False]", "KeyError instead of what to do"),
    bundle("if done.returncode != 0:", "if done.returncode < 0:", "what pip could not do passes"),
    bundle(
        '"--no-deps", "--no-build-isolation", "--no-index"',
        '"--no-deps", "--no-index"',
        "it cannot be built without an index",
    ),
    bundle("module.fail_json(msg=str(problem))", "raise", "a traceback"),
    bundle("supports_check_mode=True", "supports_check_mode=False", "check mode sees nothing"),
    install("if not mark.exists():", "if True:", "what is used is installed anew"),
    install(
        "if not mark.exists():",
        "if not home.exists():",
        "the rest of a run that was cut short is taken for whole",
    ),
    install(
        "            shutil.rmtree(home, ignore_errors=True)\n            _make_venv",
        "            _make_venv",
        "the rest of another run is mixed in",
    ),
    install('            mark.symlink_to("bin/python")\n', "", "it is installed by every run"),
    install('mark.symlink_to("bin/python")', "mark.touch()", "a release without its Python passes for whole"),
    install(
        "Path(sys.executable).resolve()",
        "sys.executable",
        "after an upgrade of Debian another Python looks for the modules in vain",
    ),
    install(
        '                _pip_install(home / "bin" / "python", Path(wheels))\n            mark.symlink_to("bin/python")\n',
        '                mark.symlink_to("bin/python")\n                _pip_install(home / "bin" / "python", Path(wheels))\n',
        "what could not be installed is taken for whole",
    ),
    install("new.unlink(missing_ok=True)", "pass", "a run that was cut short is never made good"),
    install(
        "new.symlink_to(home.relative_to(root))",
        "new.symlink_to(home)",
        "the link leads out of a directory that was moved",
    ),
    install("    _remove_old(home, before)\n", "", "releases pile up"),
    install("it.name == before.name, ", "", "what still runs, older than another, is removed under it"),
    install("if wheel != pip)", ")", "pip is installed, too"),
    install('"--no-index", "--no-deps"', '"--no-deps"', "hosts ask the index"),
    install(
        '"--no-index", "--no-deps"',
        '"--no-index"',
        "a dependency nobody named ends the installation",
    ),
    install(
        '    _run([python, "-I", pip / "pip", "check", "--disable-pip-version-check"])\n',
        "",
        "what is missing is found by the first task",
    ),
    install("if done.returncode != 0:", "if False:", "what pip refused is taken for whole"),
    install("stderr=subprocess.STDOUT", "stderr=subprocess.DEVNULL", "why pip refused is lost"),
    install("if release != current]", "]", "the release in use may be removed"),
    install(
        "_mark(it).exists(), it.stat().st_mtime)",
        "it.stat().st_mtime)",
        "what could not be installed takes the place of what runs",
    ),
    install("_mark(it).exists(), it.stat().st_mtime)", "_mark(it).exists())", "the oldest is kept"),
    install("reverse=True)", "reverse=False)", "the oldest is kept"),
    install("others[KEPT:]", "others", "what still runs is removed"),
    install("others[KEPT:]", "others[:KEPT]", "what still runs is removed"),
    install("os.umask(0o022)", "pass", "the service users cannot read it"),
    install("except (OSError, InstallError) as problem:", "except InstallError as problem:", "a traceback"),
    install("if sys.version_info < OLDEST_PYTHON:", "if False:", "an old Python fails somewhere"),
    install("len(sys.argv) != 2", "len(sys.argv) < 1", "a traceback"),
    install('"--symlinks"', '"--copies"', "a copy of the interpreter stays, without what it needs"),
    install("it.name == before.name, ", "", "the release in use is removed after going back to an older one"),
]
