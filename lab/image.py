"""The root file system that nodes start from: built once per recipe, kept in the cache, shared read-only."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
from pathlib import Path

from lab import apt, debs
from lab.errors import LabError
from lab.run import Say, lock, remove
from lab.spec import CACHE, labs

IMAGES = CACHE / "images"
MAX_AGE_DAYS = 7  # then security updates justify a new one
LOCAL_CAS = Path("/usr/local/share/ca-certificates")

# What any server has before a playbook runs.
PACKAGES = [
    "systemd",
    "systemd-sysv",
    "dbus",
    "openssh-server",
    "sudo",
    "python3",
    "python3-apt",
    "ca-certificates",
    "iproute2",
    "procps",
]

# force-unsafe-io: dpkg's own syncs protect against a crash during an installation, and cost most of its time
# on a busy machine. A node that loses power during an installation is provisioned again.
DPKG = "force-unsafe-io\n"
APT = 'Acquire::Languages "none";\n'

SSHD = """# Known to the lab before the first boot, so that strict host key checking holds.
HostKey /etc/ssh/ssh_host_ed25519_key
PermitRootLogin prohibit-password
PasswordAuthentication no
MaxSessions 64
MaxStartups 100
"""

# Nothing may take the lock of apt or dpkg while a playbook runs; host keys come from the lab.
MASKED = [
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "console-getty.service",
    "e2scrub_all.timer",
    "fstrim.timer",
    "sshd-keygen.service",
    "systemd-networkd-wait-online.service",
]

HOOK = f"""set -eu
rm -f "$1"/etc/ssh/ssh_host_*
for unit in {" ".join(MASKED)}; do ln -sf /dev/null "$1/etc/systemd/system/$unit"; done
echo LANG=C.UTF-8 >"$1/etc/default/locale"
rm -f "$1"/var/cache/apt/archives/*.deb
chroot "$1" apt-cache gencaches >/dev/null
: >"$1/etc/machine-id"
"""


# Which of mmdebstrap's lines to show while you wait.
_TOLD = ("I: running apt-get update", "I: downloading", "I: extracting", "I: installing")


def layers(suite: str, say: Say) -> str:
    """The directories that new nodes of a Debian release start from, uppermost first, joined by ":".

    Builds the image now if this recipe has none, or only an old one. Raises LabError with mmdebstrap's last
    words if that fails and there is none.
    """
    recipe = _recipe(suite)
    digest = hashlib.sha256()
    for path in sorted(recipe):
        digest.update(f"{path}\0{len(recipe[path])}\0".encode() + recipe[path])
    name = f"{suite}-{digest.hexdigest()[:12]}"
    with lock(f"image-{suite}", say):
        have = max(IMAGES.glob(f"{name}-*"), default=None)
        if have is None or _is_old(have):
            new = IMAGES / f"{name}-{time.strftime('%Y%m%d%H%M%S', time.gmtime())}"
            try:
                _build(suite, recipe, new, say)
                have = new
            except LabError as error:
                if have is None:
                    raise
                say(f"using an image that is {MAX_AGE_DAYS} days old or more: {error}")
            _prune(suite, have)
        packages = debs.newest(suite)
        return ":".join(str(layer) for layer in (packages, have / "root") if layer is not None)


def _recipe(suite: str) -> dict[str, bytes]:
    """Everything that an image depends on, by path; paths with a leading / are files of the image itself."""
    sources = apt.sources(suite)
    # More than the rest: two packages' files that the host's administrator put beside its apt sources.
    secrets = [apt.ETC / "auth.conf", *sorted((apt.ETC / "auth.conf.d").glob("*"))]
    copied = [*apt.keyrings(sources), *secrets, *sorted(LOCAL_CAS.rglob("*.crt"))]
    files = {str(path): path.read_bytes() for path in copied if path.is_file()}
    return files | {
        "sources": "\n".join(source.render() for source in sources).encode(),
        "packages": "\n".join(PACKAGES).encode(),
        "hook": HOOK.encode(),
        "/etc/apt/apt.conf.d/90lab": (APT + apt.transport()).encode(),
        "/etc/dpkg/dpkg.cfg.d/lab": DPKG.encode(),
        "/etc/ssh/sshd_config.d/lab.conf": SSHD.encode(),
    }


def _build(suite: str, recipe: dict[str, bytes], final: Path, say: Say) -> None:
    began = time.monotonic()
    work = IMAGES / f".building-{suite}"
    remove(work)  # of a build that died
    IMAGES.mkdir(parents=True, exist_ok=True)
    IMAGES.chmod(0o700)  # it may contain the host's passwords for its package archive
    for name, data in recipe.items():
        file = work / "files" / name.removeprefix("/") if name.startswith("/") else work / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        file.chmod(0o600 if "/auth.conf" in name else 0o644)
    (work / "suite.sources").write_bytes(recipe["sources"])
    say(f"building the {suite} image from Debian packages (once; kept in {IMAGES})")
    log = work / "log"
    argv = [
        # All of it ends with us, in any way.
        *["setpriv", "--pdeathsig=KILL", "unshare", "--pid", "--mount-proc", "--fork", "--kill-child=KILL"],
        *["mmdebstrap", "--mode=root", "--variant=minbase", f"--include={','.join(PACKAGES)}"],
        # Keep the lists: a fresh node can then install without an update.
        *["--skip=cleanup/apt", "--format=directory"],
        f"--setup-hook=sync-in {work}/files /",
        f'--customize-hook=sh {work}/hook "$1"',
        *[suite, str(work / "root"), str(work / "suite.sources")],
    ]
    environment = {**os.environ, "TMPDIR": str(work)}  # this also removes what a killed build leaves
    with (
        log.open("w") as out,
        subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, stdout=out, env=environment) as build,
    ):
        for line in build.stderr or ():
            out.write(line)
            if line.startswith(_TOLD):
                say(f"  {suite} image: {line[3:].strip()} ({time.monotonic() - began:.0f} s)")
    if build.returncode:
        last = [line for line in log.read_text().splitlines() if line.startswith("E: ")] or [
            "no reason given"
        ]
        raise LabError(f"the {suite} image could not be built: {last[0]} (all of it: {log})")
    for name in ("files", "hook"):
        path = work / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    work.replace(final)
    say(f"{suite} image built in {time.monotonic() - began:.0f} s")


def _prune(suite: str, keep: Path) -> None:
    """Remove images of this release that no lab uses: those that `keep` replaces, and all old ones.

    Another checkout may have its own recipe; we must not remove its images while they are in use.
    """
    used = {layer for spec in labs() for node in spec.nodes.values() for layer in node.image.split(":")}
    for image in IMAGES.glob(f"{suite}-*"):
        recipe, _, _ = image.name.rpartition("-")
        replaced = recipe == keep.name.rpartition("-")[0]
        if image != keep and str(image / "root") not in used and (replaced or _is_old(image)):
            shutil.rmtree(image)


def _is_old(image: Path) -> bool:
    return time.time() - image.stat().st_mtime > MAX_AGE_DAYS * 86400
