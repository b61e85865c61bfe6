#!/usr/bin/env bash
# fuzz.sh SECONDS [TARGET…]: runs each fuzz target (or these) for so long, from
# the committed seeds. What it learns stays in target/fuzz/corpus; an input that
# breaks a rule is left in tests/fuzz/artifacts, and the run fails.
set -euo pipefail
. "$(dirname "$0")/common.sh"
cd "$root"

cargo_fuzz_version=0.13.2

seconds=${1:?fuzz.sh SECONDS [TARGET…]}
shift
[[ $seconds =~ ^[1-9][0-9]*$ ]] || die "SECONDS is a number of seconds, not '$seconds'"
if [ $# = 0 ]; then
  mapfile -t targets < <(basename -s .rs tests/fuzz/targets/*.rs)
  set -- "${targets[@]}"
fi

# Sanitizers exist in nightly compilers only.
cargo=$(native_cargo) || die "no cargo: fuzzing needs rustup with a nightly toolchain"
PATH=$(dirname "$cargo"):$PATH
cargo +nightly --version >/dev/null 2>&1 ||
  die "fuzzing needs a nightly compiler, which is not here: rustup toolchain install nightly"

tools=$root/.tools/cargo-fuzz-$cargo_fuzz_version
if [ ! -x "$tools/bin/cargo-fuzz" ]; then
  say "cargo install cargo-fuzz $cargo_fuzz_version, into .tools"
  cargo install --quiet --locked --root "$tools" --version "$cargo_fuzz_version" cargo-fuzz
fi
PATH=$tools/bin:$PATH

build=${CARGO_TARGET_DIR:-$root/target}/fuzz
fuzz() { cargo +nightly fuzz "$1" --fuzz-dir tests/fuzz --target-dir "$build" "${@:2}"; }

fuzz build
failed=()
for target in "$@"; do
  say "fuzzing $target for $seconds s"
  corpus=$build/corpus/$target
  mkdir -p "$corpus"
  # An input that takes 10 s is a finding of its own.
  fuzz run "$target" "$corpus" "tests/fuzz/seeds/$target" -- \
    "-max_total_time=$seconds" -timeout=10 -print_final_stats=1 || failed+=("$target")
done
[ ${#failed[@]} = 0 ] || die "rules were broken in: ${failed[*]}; the inputs are in tests/fuzz/artifacts"
