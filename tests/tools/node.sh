#!/usr/bin/env bash
# node.sh: sees to it that Node finds `ws` and the clients with which the tests
# converse: by npm from the lock file, into .tools/node. Where there is no npm, it
# is Debian's.
set -euo pipefail
. "$(dirname "$0")/common.sh"

pins=$root/tests/peers/node
folder=$root/.tools/node

has_ws() {
  NODE_PATH=$folder/node_modules \
    node -e 'require("ws").WebSocketServer || process.exit(1)' 2>/dev/null
}

by_npm() {
  local made
  if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    apt_need nodejs npm
  fi
  say "npm ci, into .tools/node"
  mkdir -p "$root/.tools"
  made=$(mktemp -d "$root/.tools/node.XXXXXX")
  cp "$pins/package.json" "$pins/package-lock.json" "$made"
  (cd "$made" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2) ||
    { rm -rf "$made"; die "npm could not fetch what tests/peers/node names"; }
  echo "$wanted" >"$made/made-from"
  chmod 755 "$made"
  rm -rf "$folder"
  mv "$made" "$folder"
}

wanted=$(cat "$pins/package.json" "$pins/package-lock.json" | cksum)
if [ -d "$folder" ] && [ "$(cat "$folder/made-from" 2>/dev/null)" != "$wanted" ]; then
  rm -rf "$folder"
fi
has_ws && exit 0
by_npm
has_ws || die "this Node does not load the package ws: a newer one is needed"
