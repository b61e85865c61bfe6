#!/usr/bin/env bash
# build-wasm.sh build OUT [CARGO_ARGS…] | clippy
#
# Compiles the filter for wasm32-wasip1, with the first of these that can:
#   1. the active toolchain, when it has the target's standard library already;
#   2. Debian's compiler (package rustc-web, Debian 12), which builds the
#      standard library from source;
#   3. the active toolchain, after `rustup target add`.
set -euo pipefail
. "$(dirname "$0")/common.sh"
cd "$root"

target=wasm32-wasip1
debian_packages=(rustc-web cargo-web rust-web-src lld-19 wasi-libc)
# Every stock Envoy verifies ES256 and ES384 itself (feature own-ecdsa).
cargo_args=(--locked --target "$target" --lib --no-default-features)
rustflags=(-Ctarget-feature=+simd128
  # The builder's folders are nobody's business and would make builds differ.
  "--remap-path-prefix=$root=wsguard" "--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo")

# Flags of the caller's are for native code.
unset RUSTFLAGS CARGO_BUILD_TARGET CARGO_BUILD_RUSTFLAGS RUSTC_WORKSPACE_WRAPPER

active_has_target() {
  local cargo libraries
  cargo=$(native_cargo) || return 1
  PATH=$(dirname "$cargo"):$PATH
  libraries=$(rustc --print target-libdir --target "$target" 2>/dev/null) || return 1
  compgen -G "$libraries/libstd-*.rlib" >/dev/null
}

use_active() {
  cargo=$(native_cargo)
  PATH=$(dirname "$cargo"):$PATH
  target_dir=${CARGO_TARGET_DIR:-target}/wasm
  say "$(rustc --version), with its own $target"
}

use_debian() {
  apt_need "${debian_packages[@]}"
  need_new_enough
  cargo=/usr/bin/cargo
  # Cargo starts whatever `rustc` and `clippy-driver` it finds first.
  export PATH=/usr/bin:$PATH RUSTC=/usr/bin/rustc
  export RUSTC_BOOTSTRAP=1   # -Zbuild-std on a stable compiler
  export CARGO_TARGET_WASM32_WASIP1_LINKER=wasm-ld-19
  rustflags+=(-L/usr/lib/wasm32-wasi)
  cargo_args+=(-Zbuild-std=std,panic_abort)
  # Its own folder: two compilers in one would rebuild each other's work.
  target_dir=${CARGO_TARGET_DIR:-target}/wasm-debian
  say "Debian's $(/usr/bin/rustc --version); its first build takes some minutes"
}

# Debian 12 began with an older compiler than the manifest asks for; its
# security updates have a newer one, which a machine may not have taken yet.
need_new_enough() {
  local wanted
  wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
  is_at_least "$wanted" "$(debian_version)" && return 0
  say "rustc-web is $(debian_version), $wanted or later is needed"
  apt_update
  apt_try_install "${debian_packages[@]}" || say "apt could not update rustc-web"
  is_at_least "$wanted" "$(debian_version)" ||
    die "apt offers rustc-web $(debian_version) at most, $wanted or later is needed. Add Debian's security" \
      "updates to apt's sources (deb http://deb.debian.org/debian-security bookworm-security main)," \
      "or give your own toolchain the target: rustup target add $target"
}

debian_version() { /usr/bin/rustc --version | sed -n 's/^rustc \([0-9.]*\).*/\1/p'; }

use_rustup() {
  command -v rustup >/dev/null || PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
  command -v rustup >/dev/null ||
    die "no way to compile for $target: on Debian 12 apt has rustc-web, elsewhere install rustup"
  say "rustup target add $target"
  rustup target add "$target" >&2
  use_active
}

# Which target a host builds for with rustup is its owner's choice; only where
# Debian has the compiler packaged is it taken instead.
debian_has_compiler() {
  installed "${debian_packages[@]}" && return 0
  grep -qs '^ID=debian$' /etc/os-release && apt_offers rustc-web
}

build() {
  local out=$1 built
  shift
  # The manifest names no cdylib on purpose: beside an rlib, cargo would leave
  # link-time optimization out without a word.
  "$cargo" rustc "${cargo_args[@]}" "$@" --release --crate-type cdylib -- -Dwarnings
  built=$target_dir/$target/release/wsguard.wasm
  mkdir -p "$(dirname "$out")"
  # Checked first: a module that Envoy cannot load never gets the name.
  "$(any_python)" tests/tools/check_wasm.py "$built"
  cmp -s "$built" "$out" || { cp "$built" "$out.new" && mv "$out.new" "$out"; }
}

clippy() {
  if [ "$cargo" = /usr/bin/cargo ]; then apt_need rust-web-clippy; fi
  "$cargo" clippy "${cargo_args[@]}" -- -Dwarnings
}

need_cc
if active_has_target; then
  use_active
elif debian_has_compiler; then
  use_debian
else
  use_rustup
fi
export CARGO_TARGET_DIR=$target_dir
CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f'; echo "${rustflags[*]}")
export CARGO_ENCODED_RUSTFLAGS

case ${1-} in
  build) shift && build "${@:?build-wasm.sh build OUT}" ;;
  clippy) clippy ;;
  *) die "usage: build-wasm.sh build OUT [CARGO_ARGS…] | clippy" ;;
esac
