#!/bin/sh
# The keeper of one node: holds its network and mount namespaces while it is on, mounts its disk, boots it,
# and boots it again when it asks for a reboot. `lab` starts it inside the new namespaces.
#   keeper.sh DIR IMAGE CGROUP HOSTNAME UUID
# Mounts are made in here and never on the host, where every later namespace would hold a copy of them;
# so they and the loop device are gone when the last process of the node is.
set -eu
dir=$1 image=$2 cgroup=/sys/fs/cgroup/$3 hostname=$4 uuid=$5

# The caller now plugs the network into our namespace. If it dies before it says go, so do we.
echo "$$"
read -r go || exit 1
exec </dev/null >>"$dir/console.log" 2>&1

# systemd 257 refuses the old hierarchy: show the node the unified one only, where the host mixes both.
if [ "$(stat -f -c %T /sys/fs/cgroup)" != cgroup2fs ]; then
    umount -R -l /sys/fs/cgroup
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
fi
# nspawn's lock files stay in here, rather than in the host's /run for ever.
mount -t tmpfs -o mode=0755,size=1M tmpfs /run

# barrier=0: this file is the node's platter. What the node has synced is in it, and the host does not crash
# when a node's power is cut, so there is no need to wait for the host's own disk.
mkdir -p "$dir/disk" "$dir/root"
mount -o loop,noatime,barrier=0 "$dir/disk.img" "$dir/disk"
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
    find "$cgroup/machine" -mindepth 1 -depth -type d -exec rmdir {} \; 2>/dev/null || true
    status=0
    (
        # nspawn alone must be in the cgroup that it divides.
        echo 0 >"$cgroup/machine/cgroup.procs"
        exec systemd-nspawn --quiet --boot --directory="$dir/root" --machine="$hostname" --uuid="$uuid" \
            --register=no --keep-unit --network-namespace-path=/proc/self/ns/net \
            --resolv-conf=off --timezone=off --link-journal=no --console=read-only
    ) || status=$?
    [ "$status" = 133 ] || exit "$status" # 133: the node asked for a reboot
done
