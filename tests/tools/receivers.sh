#!/usr/bin/env bash
# receivers.sh: builds, into .tools/receivers, the WebSocket receivers of
# tests/receivers that have to be compiled: gorilla/websocket, Boost.Beast and
# libwebsockets, each as Debian has it. Where there is no apt they are left out,
# and said to be.
set -euo pipefail
. "$(dirname "$0")/common.sh"

sources=$root/tests/receivers
folder=$root/.tools/receivers
packages=(golang-go golang-github-gorilla-websocket-dev libwebsockets-dev
  libboost-dev libboost-context-dev libboost-coroutine-dev g++ gcc libc6-dev pkg-config zlib1g-dev)

# Whether what was built is of this source, by this script.
made_from() { cat "$1" "${BASH_SOURCE[0]}" | cksum; }
is_made() { [ -x "$folder/$1" ] && [ "$(cat "$folder/$1.made-from" 2>/dev/null)" = "$(made_from "$2")" ]; }

# make NAME SOURCE COMMAND…: the command gets the output's name at its end.
make_one() {
  local name=$1 source=$2
  shift 2
  is_made "$name" "$source" && return 0
  say "building the receiver $name"
  "$@" "$folder/$name.new" "$source"
  mv "$folder/$name.new" "$folder/$name"
  made_from "$source" >"$folder/$name.made-from"
}

# By Debian's own packages, without modules: nothing is fetched.
build_go() {
  GO111MODULE=off GOPATH=/usr/share/gocode GOCACHE=$folder/go-cache GOFLAGS='' go build -o "$@"
}

build_beast() {
  g++ -std=c++17 -O1 -o "$1" "$2" -DBOOST_ALLOW_DEPRECATED_HEADERS -lboost_coroutine -lboost_context -pthread
}

build_lws() {
  # shellcheck disable=SC2046
  gcc -O1 -Wall -o "$1" "$2" $(pkg-config --cflags --libs libwebsockets)
}

all_made() {
  is_made gorilla "$sources/gorilla/main.go" && is_made beast "$sources/beast/peer.cpp" &&
    is_made libwebsockets "$sources/libwebsockets/peer.c"
}

all_made && exit 0
if ! grep -qs '^ID=debian$' /etc/os-release || ! command -v apt-get >/dev/null; then
  say "NOT TESTED HERE: gorilla/websocket, Boost.Beast and libwebsockets as receivers (they are Debian's packages)"
  exit 0
fi
apt_need "${packages[@]}"
mkdir -p "$folder"
make_one gorilla "$sources/gorilla/main.go" build_go
make_one beast "$sources/beast/peer.cpp" build_beast
make_one libwebsockets "$sources/libwebsockets/peer.c" build_lws
