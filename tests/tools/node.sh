#!/usr/bin/env bash
# node.sh: sees to it that Node finds `ws`, with which the tests converse: by npm
# from the lock file, into .tools/node, or where there is no npm as packages of
# Debian's.
set -euo pipefail
. "$(dirname "$0")/common.sh"

pins=$root/tests/peers/node
folder=$root/.tools/node

# Where the tests look, too.
export NODE_PATH=$folder/node_modules:/usr/share/nodejs
has_ws() { node -e 'require("ws").WebSocketServer || process.exit(1)' 2>/dev/null; }

by_npm() {
  local made
  command -v node >/dev/null && command -v npm >/dev/null || return 1
  say "npm ci, into .tools/node"
  mkdir -p "$root/.tools"
  made=$(mktemp -d "$root/.tools/node.XXXXXX")
  cp "$pins/package.json" "$pins/package-lock.json" "$made"
  (cd "$made" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2) ||
    { rm -rf "$made"; return 1; }
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
by_npm || apt_need nodejs node-ws
has_ws || die "no Node that finds the package ws: install both, or npm"
