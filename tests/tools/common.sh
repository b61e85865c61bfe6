# Sourced by the scripts beside it: speaking, installing, finding interpreters.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

say() { printf 'wsguard: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    die "root or sudo is needed for: $*"
  fi
}

# Whether each of these Debian packages is installed; asks dpkg, not apt.
installed() {
  local package
  for package in "$@"; do
    [ "$(dpkg-query -W -f='${db:Status-Abbrev}' "$package" 2>/dev/null)" = 'ii ' ] || return 1
  done
}

# is_at_least WANTED VERSION: by the numbers between the dots.
is_at_least() {
  [ -n "$2" ] && [ "$(printf '%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]
}

# Whether apt knows an installable version of the package. An empty answer may
# only mean that the lists were never fetched, so one update is worth a try.
apt_offers() {
  command -v apt-get >/dev/null || return 1
  apt-cache show "$1" >/dev/null 2>&1 && return 0
  apt_update
  apt-cache show "$1" >/dev/null 2>&1
}

apt_update() {
  say "apt-get update"
  as_root apt-get -q -o DPkg::Lock::Timeout=300 update >&2 ||
    say "apt-get update failed, going on with the lists that are there"
}

apt_try_install() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 \
    install --no-install-recommends "$@" >&2 </dev/null
}

# Installs what is missing of these packages, by fresh lists: old ones name files
# that the mirror has replaced, or an older compiler than its updates have.
apt_need() {
  installed "$@" && return 0
  command -v apt-get >/dev/null || die "not a Debian system: install what provides $* here"
  say "installing $*"
  apt_update
  apt_try_install "$@" || die "apt could not install $*"
}

# The cargo for native builds. Where both are there, rustup's wins over the
# distribution's: that one is older, or is Debian's compiler for wasm.
native_cargo() {
  local found own=${CARGO_HOME:-$HOME/.cargo}/bin/cargo
  found=$(command -v cargo || true)
  case $found in
    '' | /usr/bin/cargo) [ -x "$own" ] && found=$own ;;
  esac
  [ -n "$found" ] && echo "$found"
}

# rustc links with `cc`, also what runs while compiling for another machine
# (build scripts, procedural macros).
need_cc() {
  command -v cc >/dev/null || apt_need gcc libc6-dev
}

# A Python for scripts that need its standard library only.
any_python() {
  local candidate
  for candidate in python3 /usr/bin/python3; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 8))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  apt_need python3 && echo /usr/bin/python3
}
