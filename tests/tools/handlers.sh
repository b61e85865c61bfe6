#!/usr/bin/env bash
# handlers.sh: what runs tests/handlers, by which messages are read as applications in
# Node, Python, Go and PHP read them: Go and PHP as Debian has them. Go's is compiled
# into target/handlers.
set -euo pipefail
. "$(dirname "$0")/common.sh"

if ! { command -v go && command -v php; } >/dev/null; then
  if ! command -v apt-get >/dev/null; then
    say "SKIPPED: no Go or PHP, and no apt to install them: messages are not held against what applications in them read"
    exit 0
  fi
  apt_need golang-go php-cli
fi
built=$root/target/handlers/go
source=$root/tests/handlers/handlers.go
[ "$built" -nt "$source" ] && exit 0
mkdir -p "$(dirname "$built")"
GOFLAGS=-mod=mod GOTOOLCHAIN=local GO111MODULE=off go build -o "$built" "$source"
