#!/bin/sh
# The README's two commands in a bare Debian chroot, so that a set-up step which only this machine has cannot hide.
#
#   FRESH_SUITE=bookworm   bookworm has Python 3.11, trixie 3.13
#   FRESH_DIR=folder   where the chroot is built (default: a new folder under TMPDIR; removed at the end)
#   FRESH_CI=1         also run the tests with every Debian package, as CI does, after `make test` on the bare machine;
#                      FRESH_CI=only: nothing but that
#   SECONDS_TO_RUN=60  how long the demonstration runs
set -eu
[ "$(id -u)" = 0 ] || { echo "make fresh needs root: it makes a chroot" >&2; exit 2; }
command -v mmdebstrap >/dev/null || { echo "make fresh needs mmdebstrap: apt-get install mmdebstrap" >&2; exit 2; }
source=$(cd "$(dirname "$0")/.." && pwd)
if [ -z "${FRESH_INSIDE:-}" ]; then
  root=${FRESH_DIR:-$(mktemp -d)/root}
  trap 'rm -rf --one-file-system "$root"' EXIT
  [ -z "$(git -C "$source" status --porcelain)" ] || echo "note: what is not committed is not part of this trial" >&2
  suite=${FRESH_SUITE:-bookworm}
  echo "bare Debian ($suite) in $root …"
  mmdebstrap --quiet --variant=apt --include=make,git,python3-venv,ca-certificates "$suite" "$root"
  # The package manager drops its rights inside, and then has to pass "/" and to write to /tmp.
  chmod 755 "$root"
  chmod 1777 "$root/tmp"
  git clone -q "$source" "$root/root/yunjian"
  # A namespace of its own: whatever is mounted or left running in the chroot ends with it.
  FRESH_INSIDE=$root unshare --mount --pid --fork --kill-child "$0"
  exit
fi

root=$FRESH_INSIDE
mount --make-rprivate /
# Network namespaces want a root directory that is a mount of its own, as on a real machine.
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
# Name service and trusted certificates are the network's business, not a set-up step of ours.
cp -L /etc/resolv.conf "$root/etc/resolv.conf"
cp /etc/hosts "$root/etc/hosts"
cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
inside() {
  chroot "$root" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
    PIP_CERT=/etc/ssl/certs/ca-certificates.crt NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt \
    ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} ${CI_INSIDE:+CI=true} \
    sh -ec "cd /root/yunjian; $1"
}
began=$(date +%s)
if [ "${FRESH_CI:-}" = only ]; then
  CI_INSIDE=1 inside "sh .ci/run"
  echo "fresh: .ci/run passed after $(( $(date +%s) - began )) s"
  exit
fi
inside "make run SECONDS=${SECONDS_TO_RUN:-60}"
echo "fresh: make run ended in order after $(( $(date +%s) - began )) s, set-up included"
inside "make test"
echo "fresh: make test passed after $(( $(date +%s) - began )) s"
if [ -n "${FRESH_CI:-}" ]; then
  CI_INSIDE=1 inside "sh .ci/run"
  echo "fresh: .ci/run passed after $(( $(date +%s) - began )) s"
fi
