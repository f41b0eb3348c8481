#!/usr/bin/env bash
# Usage: scripts/test-api.sh PACKAGE...
#
# Runs the tests of the packages against a real Kubernetes API server. KUBEBUILDER_ASSETS names the folder that holds
# kube-apiserver and etcd; when it is not set they are built from Kubernetes' Go module (once, several minutes).
# Packages that do not exist are skipped with a word.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=machine.sh
source "$(dirname "$0")/machine.sh"

case ${1:-} in
  -h | --help) usage; exit ;;
  "") usage >&2; exit 2 ;;
esac
need_go
cd "$ROOT"
unset GOOS GOARCH

packages=()
for package; do
  if [ -d "${package%/...}" ]; then packages+=("$package"); else say "$package does not exist: skipped"; fi
done
[ ${#packages[@]} -gt 0 ] || fail "none of the packages exists: $*"

KUBEBUILDER_ASSETS=${KUBEBUILDER_ASSETS:-$(scripts/images/assets.sh)}
export KUBEBUILDER_ASSETS
say "kube-apiserver and etcd of $KUBEBUILDER_ASSETS"
go test -count=1 "${packages[@]}"
