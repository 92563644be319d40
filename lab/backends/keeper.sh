#!/bin/sh
# The keeper of one node: holds its network and mount namespaces while it is on, mounts its disk, boots it,
# and boots it again when it asks for a reboot. `lab` starts it inside the new namespaces.
#   keeper.sh DIR IMAGE CGROUP REBOOT COMMAND...
# COMMAND boots DIR/root and ends when the node is off, with the status REBOOT if it is to be booted again.
# Mounts are made in here and never on the host, where every later namespace would hold a copy of them;
# so they and the loop device are gone when the last process of the node is.
set -eu
dir=$1 image=$2 cgroup=/sys/fs/cgroup/$3 reboot=$4
shift 4

# The caller now plugs the network into our namespace. If it dies before it says go, so do we.
echo "$$"
read -r go || exit 1
exec </dev/null >>"$dir/console.log" 2>&1

# systemd 257 refuses the old hierarchy: show the node the unified one only, where the host mixes both.
if [ "$(stat -f -c %T /sys/fs/cgroup)" != cgroup2fs ]; then
    umount -R -l /sys/fs/cgroup
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
fi
# Locks and state of what boots the node stay in here, rather than on the host for ever.
mount -t tmpfs -o mode=0755,size=16M tmpfs /run
mount -t tmpfs -o mode=1777,size=16M tmpfs /dev/shm

# barrier=0: this file is the node's platter. What the node has synced is in it, and the host does not crash
# when a node's power is cut, so there is no need to wait for the host's own disk.
mkdir -p "$dir/disk" "$dir/root"
mount -o loop,noatime,barrier=0 "$dir/disk.img" "$dir/disk"
# A disk that was filled may be full to the last block: without one the overlay would be read-only. What this
# gives back is taken again once the node is up.
if [ -e "$dir/disk/filler" ]; then
    truncate --size=-1M "$dir/disk/filler"
    sync -f "$dir/disk"
fi
mkdir -p "$dir/disk/upper" "$dir/disk/work"
mount -t overlay -o "lowerdir=$image,upperdir=$dir/disk/upper,workdir=$dir/disk/work" overlay "$dir/root"

# Its identity is written once; later changes by whoever manages the node are theirs.
if [ ! -e "$dir/disk/seeded" ]; then
    cp -a "$dir/seed/." "$dir/root/"
    sync -f "$dir/root"
    touch "$dir/disk/seeded"
    sync -f "$dir/disk"
fi

while :; do
    # Units die with SIGKILL in a cgroup tree left by an earlier boot.
    find "$cgroup" -mindepth 2 -depth -type d -exec rmdir {} \; 2>/dev/null || true
    status=0
    (
        # nspawn alone must be in the cgroup that it divides.
        echo 0 >"$cgroup/machine/cgroup.procs"
        exec "$@"
    ) || status=$?
    [ "$status" = "$reboot" ] || exit "$status"
done
