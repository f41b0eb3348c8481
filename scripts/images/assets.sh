#!/usr/bin/env bash
# Usage: scripts/images/assets.sh
#
# Prints a folder that holds kube-apiserver, etcd and kubectl, for tests that need an API server (KUBEBUILDER_ASSETS).
# They are links to the one binary of scripts/images/node/kubernetes, which is built when it is missing.
set -euo pipefail
SAY=images
# shellcheck source-path=SCRIPTDIR source=recipe.sh
source "$(dirname "$0")/recipe.sh"
# shellcheck source-path=SCRIPTDIR source=kubernetes.sh
source "$IMAGES/kubernetes.sh"

case ${1:-} in
  -h | --help) usage; exit ;;
  "") ;;
  *) usage >&2; exit 2 ;;
esac
if [ ! -x "$(folder_of kubernetes)/hyperkube" ]; then
  exclusive
  trap stop_stage EXIT
  trap 'exit 130' INT TERM
fi
kubernetes_folder
echo "$KUBERNETES_FOLDER"
