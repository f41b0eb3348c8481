# shellcheck shell=bash
# Sourced by build.sh: busybox, on which examples/dockerfile stands, out of Debian's statically linked package.

build_busybox() {
  local work
  work=$(folder_of busybox)
  need jq jq
  remove_old busybox
  rm -rf "$work"
  mkdir -p "$work/layer/bin" "$work/layer/tmp" "$work/layer/etc" "$work/layer/root"
  BUSYBOX_WORK=$work
  stage "busybox $BUSYBOX, out of Debian's package" unpack_busybox
  stage "giving busybox to the engine" import_busybox "$@"
  say "$(elapsed) built $*"
  rm -rf "$work"
}

# The user _apt, as which apt fetches, may not see the work folder.
unpack_busybox() {
  cd "$BUSYBOX_WORK" || return
  apt-get -o APT::Sandbox::User=root download busybox-static || { apt-get update && apt-get -o APT::Sandbox::User=root download busybox-static; }
  dpkg-deb -x busybox-static_*.deb package
  cp package/bin/busybox layer/bin/busybox
  chmod 755 layer/bin/busybox
  local applet
  for applet in $(layer/bin/busybox --list); do
    [ "$applet" = busybox ] || ln -s busybox "layer/bin/$applet"
  done
  chmod 1777 layer/tmp
  echo 'root:x:0:0:root:/root:/bin/sh' >layer/etc/passwd
  echo 'root:x:0:' >layer/etc/group
}

import_busybox() {
  local archive=$BUSYBOX_WORK/archive
  pack "$BUSYBOX_WORK/layer" "$BUSYBOX_WORK/layer.tar"
  add_image "$archive" "$BUSYBOX_WORK/layer.tar" "$(jq -nc --arg key "$LABEL" --arg recipe "$(recipe_of busybox)" \
    '{Env: ["PATH=/bin"], Cmd: ["sh"], Labels: {($key): $recipe}}')" "$1"
  load "$archive"
}
