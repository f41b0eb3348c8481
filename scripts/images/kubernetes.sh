# shellcheck shell=bash
# Sourced by build.sh and assets.sh: the binary that holds every Kubernetes program and etcd.

# kubernetes_folder: builds the binary if it is not there yet; the folder holds hyperkube and links to it under the
# names that tests of API servers look for. Kept: the next node image and the tests are made from it.
KUBERNETES_FOLDER=
kubernetes_folder() {
  KUBERNETES_FOLDER=$(folder_of kubernetes)
  [ ! -x "$KUBERNETES_FOLDER/hyperkube" ] || return 0
  need_go
  mkdir -p "$KUBERNETES_FOLDER"
  stage "Kubernetes $KUBERNETES, one binary from its Go module (5 to 10 minutes the first time)" build_kubernetes
  local name
  for name in kube-apiserver etcd kubectl; do ln -sf hyperkube "$KUBERNETES_FOLDER/$name"; done
  mv "$KUBERNETES_FOLDER/hyperkube.new" "$KUBERNETES_FOLDER/hyperkube"
  remove_old kubernetes
}

# The version is stamped as upstream's release does it: kubeadm and the API server refuse a binary without one.
build_kubernetes() {
  local package minor flags=
  minor=${KUBERNETES#v1.}
  minor=${minor%%.*}
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    flags="$flags -X $package.gitVersion=$KUBERNETES -X $package.gitMajor=1 -X $package.gitMinor=$minor -X $package.gitTreeState=clean"
    flags="$flags -X $package.gitCommit=$(printf 0%.0s {1..40}) -X $package.buildDate=2026-01-01T00:00:00Z"
  done
  go build -C "$IMAGES/node/kubernetes" -v -buildvcs=false -trimpath -ldflags "-s -w $flags" -o "$KUBERNETES_FOLDER/hyperkube.new" .
}
