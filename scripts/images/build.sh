#!/usr/bin/env bash
# Usage: scripts/images/build.sh [node|cert-manager|busybox|all] [--force] [--suffix SUFFIX]
#
# Builds the images that slipway needs, from Go modules and Debian packages alone, for machines that reach no image
# registry, and gives them to the Docker engine under their upstream names and tags:
#   node           kindest/node (needs root and Debian's debootstrap and jq, which it installs; 10 minutes cold)
#   cert-manager   quay.io/jetstack/cert-manager-controller, -cainjector and -webhook (2 minutes cold);
#                  startupapicheck is left out: slipway installs the chart with startupapicheck.enabled=false
#   busybox        docker.io/library/busybox, for examples/dockerfile (out of a Debian package; seconds)
# An image that this recipe has made already is left alone, and so is one that was pulled from upstream; --force makes
# it again. --suffix adds to the tags, to try a recipe beside the images in use.
# Work goes on in ${XDG_CACHE_HOME:-~/.cache}/slipway/images and is removed at the end, but for the Kubernetes binary.
# DEBIAN_MIRROR names another mirror than http://deb.debian.org/debian.
set -euo pipefail
SAY=images
# shellcheck source-path=SCRIPTDIR source=recipe.sh
source "$(dirname "$0")/recipe.sh"
# shellcheck source-path=SCRIPTDIR source=kubernetes.sh
source "$IMAGES/kubernetes.sh"
# shellcheck source-path=SCRIPTDIR source=archive.sh
source "$IMAGES/archive.sh"
# shellcheck source-path=SCRIPTDIR source=node/node.sh
source "$IMAGES/node/node.sh"
# shellcheck source-path=SCRIPTDIR source=cert-manager/image.sh
source "$IMAGES/cert-manager/image.sh"
# shellcheck source-path=SCRIPTDIR source=busybox/image.sh
source "$IMAGES/busybox/image.sh"

what=all
force=
suffix=
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage; exit ;;
    node | cert-manager | busybox | all) what=$1 ;;
    --force) force=yes ;;
    --suffix) suffix=${2:?--suffix needs a value}; shift ;;
    *) usage >&2; exit 2 ;;
  esac
  shift
done

# need_space DIR GIGABYTES
need_space() {
  local free
  free=$(df -Pk "$1" | awk 'NR == 2 {print int($4 / 1048576)}')
  [ "$free" -ge "$2" ] || fail "$1 has $free GB free, and building needs $2" "Free some space, or set XDG_CACHE_HOME to a folder on a larger disk."
}

# missing RECIPE IMAGE...: prints the images that have to be made.
missing() {
  local image label recipe
  recipe=$(recipe_of "$1")
  for image in "${@:2}"; do
    label=$(label_of "$image") || label=
    if [ -n "$force" ] || { [ "$label" != upstream ] && [ "$label" != "$recipe" ]; }; then echo "$image"; else
      say "$image is there ($([ "$label" = upstream ] && echo "not built here" || echo "recipe $label"))"
    fi
  done
}

build() {
  local recipe=$1 wanted todo
  mapfile -t wanted < <(images "$recipe" | sed "s/\$/$suffix/")
  mapfile -t todo < <(missing "$recipe" "${wanted[@]}")
  [ ${#todo[@]} -gt 0 ] || return 0
  exclusive
  # Another build may have made them while this one waited.
  mapfile -t todo < <(missing "$recipe" "${wanted[@]}" 2>/dev/null)
  [ ${#todo[@]} -eq 0 ] || "build_${recipe//-/_}" "${todo[@]}"
}

docker info >/dev/null 2>&1 || fail "no Docker engine answers" "make engine arranges one."
trap stop_stage EXIT
trap 'exit 130' INT TERM
for recipe in node cert-manager busybox; do
  if [ "$what" = all ] || [ "$what" = "$recipe" ]; then build "$recipe"; fi
done
