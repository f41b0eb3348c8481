#!/usr/bin/env bash
# Usage: scripts/need.sh PROGRAM PACKAGE...
#
# Makes sure that PROGRAM is there: where it is missing and this is Debian and root, it installs PACKAGEs;
# elsewhere it says what to install.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=machine.sh
source "$(dirname "$0")/machine.sh"

case ${1:-} in
  -h | --help) usage; exit ;;
esac
[ $# -ge 2 ] || { usage >&2; exit 2; }
need "$@"
