#!/usr/bin/env bash
# cargo.sh ARGS…: the cargo for native code, wherever it is.
set -euo pipefail
. "$(dirname "$0")/common.sh"

need_cc
cargo=$(native_cargo) || { apt_need rustc-web cargo-web && cargo=/usr/bin/cargo; }
# Its rustc lies beside it; another one's must not be found first.
PATH=$(dirname "$cargo"):$PATH
cd "$root"
exec "$cargo" "$@"
