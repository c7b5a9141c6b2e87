#!/usr/bin/env bash
# Runs a script in a separate machine:  machine.sh SCRIPT [FILE ...]
#
# The machine is a copy-on-write copy of this one, with separate processes, network, /run and systemd; this one is not
# changed. The script runs there as root, as a unit, with the files next to it in /test. Needs root with the right to
# mount; otherwise prints the reason and exits with 77.
set -euo pipefail

timeout_seconds=300

skip() {
  echo "No machine can be made here: $*" >&2
  exit 77
}

# Runs in a new mount namespace.
prepare() {
  local work=$1
  mount --make-rprivate /
  mount -t tmpfs test "$work" || skip "nothing can be mounted"
  mkdir "$work"/{upper,work,root,cgroup}
  mount -t overlay test -o "lowerdir=/,upperdir=$work/upper,workdir=$work/work" "$work/root" ||
    skip "the system has no overlays"
  [ -x "$work/root/lib/systemd/systemd" ] || skip "it takes systemd on the root file system"
  mount -t cgroup2 test "$work/cgroup" || skip "the system has no cgroups of version 2"
  # systemd of the machine gets this cgroup as its root.
  group=$work/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)/device-registry-test-$$
  mkdir "$group" || skip "no cgroup can be made"
}

# Prepares the machine's root file system: its own mounts, and only the devices that it needs.
furnish() {
  local root=$1
  shift
  mkdir -p "$root/test"
  mount -t tmpfs test "$root/test"
  cp "$@" "$root/test"
  # If this machine is a container, these files may forbid mounts and services.
  rm -f "$root/etc/fstab" "$root/usr/sbin/policy-rc.d"
  mount -t tmpfs run "$root/run"
  mount -t tmpfs tmp "$root/tmp"
  mount -t tmpfs dev "$root/dev"
  local device
  for device in null zero full random urandom tty; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
  done
  mkdir "$root/dev/shm" "$root/dev/pts"
  mount -t tmpfs shm "$root/dev/shm"
  mount -t devpts -o newinstance,ptmxmode=0666 pts "$root/dev/pts"
  ln -s pts/ptmx "$root/dev/ptmx"
  ln -s /proc/self/fd "$root/dev/fd"

  cat >"$root/etc/systemd/system/test.target" <<END
[Unit]
Wants=test.service
END
  # The machine stops when the script ends, with its exit status.
  cat >"$root/etc/systemd/system/test.service" <<END
[Unit]
After=basic.target
Wants=basic.target dbus.service
SuccessAction=exit-force
FailureAction=exit-force

[Service]
Type=oneshot
ExecStart=/bin/bash /test/$(basename "$1")
StandardOutput=append:/test/output
StandardError=inherit
Environment=HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin
END
}

# Becomes the machine's first process. Runs in its namespaces.
boot() {
  local root=$1
  mount -t proc proc "$root/proc"
  mount --bind "$root/proc/sys" "$root/proc/sys"
  mount -o remount,bind,ro "$root/proc/sys"
  mount -t sysfs -o ro sysfs "$root/sys"
  mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
  ip link set lo up 2>/dev/null || true
  # Not chroot: it would forbid user namespaces (clone(2)).
  cd "$root"
  pivot_root . .
  umount -l .
  # The starter of a container has to do this; without it, services get no credentials.
  mount --make-rshared /
  exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --system --unit=test.target --show-status=0 --log-target=journal
}

run() {
  local work=$1
  shift
  prepare "$work"
  furnish "$work/root" "$@"
  local status=0
  (
    echo $BASHPID >"$group/cgroup.procs"
    exec timeout --kill-after=5 $timeout_seconds \
      unshare --pid --fork --kill-child --mount --uts --ipc --net --cgroup "$0" --boot "$work/root"
  ) </dev/null || status=$?
  cat "$work/root/test/output" || true
  # The last processes take a moment to end.
  local try
  for try in $(seq 100); do
    find "$group" -depth -type d -exec rmdir {} + 2>/dev/null && break
    sleep 0.05
  done
  return $status
}

case ${1:-} in
  --boot) boot "$2" ;;
  --run) shift; run "$@" ;;
  *)
    if [ "$(id -u)" != 0 ]; then
      sudo -n true 2>/dev/null || skip "it takes root"
      exec sudo -n "$(readlink -f "$0")" "$@"
    fi
    work=$(mktemp -d)
    trap 'rmdir "$work"' EXIT
    unshare --mount true 2>/dev/null || skip "the system gives root no namespace of mounts"
    unshare --mount "$(readlink -f "$0")" --run "$work" "$@"
    ;;
esac
