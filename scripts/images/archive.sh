# shellcheck shell=bash
# Sourced by build.sh: images as a Docker archive made by hand (tar and jq). An engine's builder is not needed for
# images of one layer, and would want their parts under names that may already be someone else's.

# pack DIR TAR: packs a folder as a layer, the same bytes for the same files, owned by root.
pack() { tar -C "$1" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf "$2" .; }

# add_image ARCHIVE_DIR LAYER_TAR CONFIG_JSON NAME...: adds an image of that one layer under all the names. Images
# with the same layer share it; the tar stays the caller's.
add_image() {
  local archive=$1 layer config
  mkdir -p "$archive"
  layer=$(sha256 <"$2")
  [ -e "$archive/$layer.tar" ] || ln "$2" "$archive/$layer.tar"
  jq -nc --argjson config "$3" --arg layer "sha256:$layer" --arg architecture "$(go env GOHOSTARCH)" \
    '{architecture: $architecture, os: "linux", created: "2026-01-01T00:00:00Z", config: $config,
      rootfs: {type: "layers", diff_ids: [$layer]}, history: [{created: "2026-01-01T00:00:00Z", created_by: "slipway: scripts/images"}]}' \
    >"$archive/config.new"
  config=$(sha256 <"$archive/config.new")
  mv "$archive/config.new" "$archive/$config.json"
  jq -nc --arg config "$config.json" --arg layer "$layer.tar" '{Config: $config, RepoTags: $ARGS.positional, Layers: [$layer]}' \
    --args "${@:4}" >>"$archive/images"
}

# close_archive ARCHIVE_DIR: prints the archive.
close_archive() {
  jq -sc . "$1/images" >"$1/manifest.json"
  rm "$1/images"
  tar -C "$1" -c .
}

# load ARCHIVE_DIR: gives the archive's images to the engine. What had their names before is removed, unless something
# uses it.
load() {
  local name old=
  for name in $(jq -r '.RepoTags[]' "$1/images"); do
    old="$old $(docker image inspect -f '{{.Id}}' "$name" 2>/dev/null || true)"
  done
  close_archive "$1" | docker load
  for name in $old; do
    if [ "$(docker image inspect -f '{{len .RepoTags}}' "$name" 2>/dev/null)" = 0 ]; then docker image rm "$name" || true; fi
  done
}
