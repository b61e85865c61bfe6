#!/usr/bin/env bash
# browser.sh: sees to it that there are Chromium and its driver, with which the
# tests open pages: those that are installed, or Debian's packages.
set -euo pipefail
. "$(dirname "$0")/common.sh"

has_browser() {
  command -v chromedriver >/dev/null &&
    { command -v chromium || command -v google-chrome; } >/dev/null
}

has_browser && exit 0
apt_need chromium chromium-driver
has_browser || die "no chromedriver and Chromium: install both"
