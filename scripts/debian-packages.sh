#!/bin/sh
# Install the named Debian packages when CI or APT asks for it; otherwise say what is missing and go on.
set -eu
missing=
for package in "$@"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
if [ -z "${CI:-}" ] && [ -z "${APT:-}" ]; then
  echo "未安装 Debian 软件包:$missing（APT=1 自动安装）/ not installed:$missing (APT=1 installs them)" >&2
  exit 0
fi
root=
[ "$(id -u)" = 0 ] || root=sudo
export DEBIAN_FRONTEND=noninteractive
$root apt-get update -qq
# shellcheck disable=SC2086 -- a list of words
$root apt-get install -y -qq --no-install-recommends $missing >/dev/null
