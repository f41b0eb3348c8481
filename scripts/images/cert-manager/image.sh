# shellcheck shell=bash
# Sourced by build.sh: cert-manager's images. One program acts by the name it is called by, so the three images are
# one layer under three entrypoints, and pushing or pulling the second and third costs nothing.

build_cert_manager() {
  local work
  work=$(folder_of cert-manager)
  need jq jq
  need_go
  need_space "$CACHE" 3
  remove_old cert-manager
  rm -rf "$work"
  mkdir -p "$work/layer"
  CERT_MANAGER_WORK=$work
  stage "cert-manager $CERT_MANAGER, one binary from its Go module" build_cert_manager_program
  stage "giving cert-manager's images to the engine" import_cert_manager "$@"
  say "$(elapsed) built $*"
  rm -rf "$work"
}

build_cert_manager_program() {
  local program
  GOOS=linux go build -C "$IMAGES/cert-manager" -v -buildvcs=false -trimpath -ldflags "-s -w" -o "$CERT_MANAGER_WORK/layer/cert-manager" .
  for program in $CERT_MANAGER_PROGRAMS; do ln -s cert-manager "$CERT_MANAGER_WORK/layer/$program"; done
}

# import_cert_manager IMAGE...: which program an image runs is in its name.
import_cert_manager() {
  local image program archive=$CERT_MANAGER_WORK/archive
  pack "$CERT_MANAGER_WORK/layer" "$CERT_MANAGER_WORK/layer.tar"
  for image; do
    program=${image##*cert-manager-}
    add_image "$archive" "$CERT_MANAGER_WORK/layer.tar" "$(jq -nc --arg program "/${program%%:*}" --arg key "$LABEL" \
      --arg recipe "$(recipe_of cert-manager)" '{User: "1000", Entrypoint: [$program], Labels: {($key): $recipe}}')" "$image"
  done
  load "$archive"
}
