#!/usr/bin/env bash
# peers.sh: puts HAProxy, nginx and Node's ws, as Debian has them, into
# .tools/peers, for `make bench`. Unpacked, not installed: nothing is started,
# and the system stays as it is.
set -euo pipefail
. "$(dirname "$0")/common.sh"

folder=${WSGUARD_PEERS:-$root/.tools/peers}
packages=(haproxy liblua5.3-0 libopentracing-c-wrapper0 libopentracing1 nginx node-ws)

[ -f "$folder/fetched" ] && exit 0
apt_offers haproxy || die "apt has no haproxy here: install the peers that are to be compared"
fetched=$(mktemp -d)
trap 'rm -rf "$fetched"' EXIT
cd "$fetched"
say "fetching ${packages[*]} into .tools/peers"
for package in "${packages[@]}"; do
  apt-get -q download "$package" >&2 || say "apt has no $package: it is left out"
done
mkdir -p "$folder"
for package in ./*.deb; do
  dpkg-deb -x "$package" "$folder"
done
touch "$folder/fetched"
