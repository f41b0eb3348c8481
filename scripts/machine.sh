# shellcheck shell=bash
# Sourced by the other scripts: where the checkout is, how they talk, and how they get a program that the machine lacks.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Go's installer does not touch PATH, so a fresh machine may have Go where only its documentation knows.
PATH=$PATH:/usr/local/go/bin
export ROOT PATH
SAY=${SAY:-$(basename "$0" .sh)}

# say TEXT...: one line of progress, on standard error, so that standard output stays a result.
say() { printf '%s: %s\n' "$SAY" "$*" >&2; }

# fail WHAT [WHAT NEXT]: ends the script with one clear message.
fail() {
  printf '%s: error: %s\n' "$SAY" "$1" >&2
  [ $# -lt 2 ] || printf '  %s\n' "${@:2}" >&2
  exit 1
}

# usage: prints the comment at the head of the script that called it, which is its help.
usage() { sed -n '2,/^[^#]/{s/^# \{0,1\}//p;}' "$0"; }

has() { command -v "$1" >/dev/null 2>&1; }

# sha256: the hash of standard input (macOS has another program for it).
sha256() { if has sha256sum; then sha256sum; else shasum -a 256; fi | cut -d ' ' -f 1; }

# bounded SECONDS COMMAND...: the command, ended after that time where the machine can do that (macOS cannot).
bounded() { if has timeout; then timeout "$@"; else "${@:2}"; fi; }

# debian_root: true where packages can be installed.
debian_root() { [ -f /etc/debian_version ] && [ "$(id -u)" -eq 0 ] && has apt-get; }

# apt_install PACKAGE...: installs Debian packages without questions. The lists of a fresh machine may be absent or
# old, so they are fetched only when the first try fails.
apt_install() {
  say "installing $* (apt-get)"
  local log
  log=$(mktemp)
  if ! apt_try "$log" "$@"; then
    apt-get update >>"$log" 2>&1 </dev/null || true
    if ! apt_try "$log" "$@"; then
      tail -n 20 "$log" >&2
      rm -f "$log"
      fail "apt-get could not install $*" "See the lines above; then run this again."
    fi
  fi
  rm -f "$log"
}

apt_try() {
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=300 "${@:2}" >>"$1" 2>&1 </dev/null
}

# need PROGRAM PACKAGE...: makes sure that PROGRAM is there, by installing Debian's PACKAGEs where that is possible.
need() {
  has "$1" && return
  debian_root || fail "$1 is not installed" "Install it (on Debian, as root: apt-get install ${*:2}), then run this again."
  apt_install "${@:2}"
}

# need_go: this checkout is built with Go alone.
need_go() { has go || fail "Go is not installed" "Install Go 1.26 from https://go.dev/dl/, then run this again."; }
