#!/usr/bin/env bash
# Usage: scripts/bench.sh [NAME [FLAG...]]
#
# Measures slipway (SLIPWAY_BIN) and writes docs/benchmarks.md; with NAME it measures that figure, and what comes with it, alone. FLAGs are those of
# internal/bench, such as -soak 1h for dev_memory.
# Nothing else that is heavy should run on the machine.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=machine.sh
source "$(dirname "$0")/machine.sh"

case ${1:-} in
  -h | --help) usage; exit ;;
esac
need_go
cd "$ROOT"
KUBEBUILDER_ASSETS=${KUBEBUILDER_ASSETS:-$(scripts/images/assets.sh)}
export KUBEBUILDER_ASSETS
go run -buildvcs=false ./internal/bench -only "${1:-}" "${@:2}"
