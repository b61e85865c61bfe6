#!/usr/bin/env bash
# venv.sh: makes .tools/venv with the packages of requirements.txt, hashes
# checked, when it is missing or they have changed.
set -euo pipefail
. "$(dirname "$0")/common.sh"

venv=$root/.tools/venv
requirements=$root/tests/tools/requirements.txt

# What the packages need, with the standard library's venv in working order:
# Debian ships that, and pip, as a package of its own.
usable() {
  "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null
}

find_python() {
  local candidate
  for candidate in python3 /usr/bin/python3 python3.{14..10}; do
    if usable "$candidate"; then
      echo "$candidate"
      return
    fi
  done
  apt_need python3 python3-venv
  usable /usr/bin/python3 || die "Python 3.10 or later is needed, with its venv module"
  echo /usr/bin/python3
}

wanted=$(cksum <"$requirements")
if [ "$(cat "$venv/made-from" 2>/dev/null)" = "$wanted" ] && "$venv/bin/python" -c '' 2>/dev/null; then
  exit 0
fi
python=$(find_python)
say "making .tools/venv with $("$python" --version)"
rm -rf "$venv"
"$python" -m venv "$venv"
"$venv/bin/python" -m pip install -q --disable-pip-version-check --no-input \
  --require-hashes --only-binary=:all: -r "$requirements" >&2
echo "$wanted" >"$venv/made-from"
