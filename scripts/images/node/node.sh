# shellcheck shell=bash
# shellcheck disable=SC2153 # the names in capitals are recipe.sh's
# Sourced by build.sh: the node image, from Go modules and Debian packages alone. Single node; no volume provisioner
# (claims stay Pending), no network policies, ctr but no crictl.

DEBIAN_MIRROR=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
NODE_PACKAGES=systemd,conntrack,iptables,nftables,iproute2,ethtool,util-linux,mount,kmod,libseccomp2,bash,ca-certificates,jq,procps,containernetworking-plugins,runc,ebtables,socat,curl

build_node() {
  local work
  work=$(folder_of node)
  [ "$(id -u)" -eq 0 ] || fail "building the node image needs root" "Run this as root, or on a machine that can pull $NODE_IMAGE (make images tries that first)."
  [ "$(uname -s)" = Linux ] || fail "the node image is built on Linux only" "Pull it instead: docker pull $NODE_IMAGE"
  need debootstrap debootstrap
  need jq jq
  need unshare util-linux
  need_go
  need_space "$CACHE" 6
  remove_old node
  mkdir -p "$work"
  NODE_WORK=$work ROOTFS=$work/rootfs
  kubernetes_folder
  stage "containerd, from its Go module" build_containerd
  stage "CoreDNS $COREDNS and pause" build_small
  [ -f "$work/debian.tar" ] || stage "Debian $DEBIAN for the node (debootstrap)" build_debian
  stage "the control plane's images" build_control_plane
  stage "assembling the node" build_rootfs
  stage "putting the control plane's images into the node" preload
  stage "importing $1 into the engine" import_node "$1"
  say "$(elapsed) $1 is built"
  # Made again when needed, in seconds but for debootstrap; together they are 2 GB.
  remove_folder "$work"
}

build_containerd() {
  go build -C "$IMAGES/node/containerd" -v -buildvcs=false -trimpath -ldflags "-s -w" -tags "no_aufs no_zfs no_btrfs no_devmapper" -o "$NODE_WORK/containerd-bin/" \
    github.com/containerd/containerd/v2/cmd/{containerd,containerd-shim-runc-v2,ctr}
}

build_small() {
  local program
  for program in coredns pause; do
    go build -C "$IMAGES/node/$program" -v -buildvcs=false -trimpath -ldflags "-s -w" -o "$NODE_WORK/$program" .
  done
}

# debootstrap mounts proc and sys below its target. In a mount namespace of its own they end with it, however it ends.
build_debian() {
  local root=$NODE_WORK/debian proxy
  remove_folder "$root"
  # apt knows the proxy of this machine, debootstrap does not ask it.
  eval "$(apt-config shell proxy Acquire::http::Proxy 2>/dev/null || true)"
  [ -z "${proxy:-}" ] || export http_proxy="${http_proxy:-$proxy}"
  unshare --mount debootstrap --variant=minbase --include="$NODE_PACKAGES" "$DEBIAN" "$root" "$DEBIAN_MIRROR"
  rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/* "$root"/usr/share/{doc,man,info,locale}/*
  tar -C "$root" --numeric-owner -cf "$NODE_WORK/debian.tar.new" .
  mv "$NODE_WORK/debian.tar.new" "$NODE_WORK/debian.tar"
  remove_folder "$root"
}

unpack_debian() {
  remove_folder "$ROOTFS"
  mkdir -p "$ROOTFS"
  tar -C "$ROOTFS" --numeric-owner -xpf "$NODE_WORK/debian.tar"
}

# One image for the whole control plane: the binary under its names, and what kube-proxy calls (iptables and its
# libraries, as the node's Debian has them).
build_control_plane() {
  local archive=$NODE_WORK/archive layer=$NODE_WORK/layer name
  unpack_debian
  rm -rf "$archive" "$layer"
  mkdir -p "$layer/bin" "$layer/usr/local/bin"
  copy_network_tools "$layer"
  ln -s ../usr/bin/dash "$layer/bin/sh"
  cp "$KUBERNETES_FOLDER/hyperkube" "$layer/usr/local/bin/"
  for name in kube-apiserver kube-controller-manager kube-scheduler kube-proxy etcd kubectl; do ln -s hyperkube "$layer/usr/local/bin/$name"; done
  add_layer "$archive" "$layer" '{"Env": ["PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]}' \
    "registry.k8s.io/kube-apiserver:$KUBERNETES" "registry.k8s.io/kube-controller-manager:$KUBERNETES" \
    "registry.k8s.io/kube-scheduler:$KUBERNETES" "registry.k8s.io/kube-proxy:$KUBERNETES" "registry.k8s.io/etcd:$ETCD"

  rm -rf "$layer" && mkdir "$layer" && cp "$NODE_WORK/coredns" "$layer/"
  add_layer "$archive" "$layer" '{"Entrypoint": ["/coredns"]}' "registry.k8s.io/coredns/coredns:$COREDNS"
  rm -rf "$layer" && mkdir "$layer" && cp "$NODE_WORK/pause" "$layer/"
  add_layer "$archive" "$layer" '{"Entrypoint": ["/pause"], "User": "65535:65535"}' "registry.k8s.io/pause:$PAUSE"
  rm -rf "$layer"
  close_archive "$archive" >"$NODE_WORK/images.tar"
  rm -rf "$archive"
}

# add_layer ARCHIVE_DIR DIR CONFIG_JSON NAME...
add_layer() {
  pack "$2" "$NODE_WORK/layer.tar"
  add_image "$1" "$NODE_WORK/layer.tar" "${@:3}"
  rm "$NODE_WORK/layer.tar"
}

copy_network_tools() {
  local libraries name
  libraries=$(cd "$ROOTFS" && echo usr/lib/*-linux-gnu)
  for name in usr/sbin/{xtables-nft-multi,xtables-legacy-multi,nft,conntrack} usr/bin/dash "$libraries/xtables/libxt_statistic.so"; do
    echo "/$name"
    chroot "$ROOTFS" ldd "/$name" | grep -o '/[^ ]*' | grep -v ':$'
  done | sort -u | while read -r name; do (cd "$ROOTFS" && cp -aL --parents ".$name" "$1/"); done
  (cd "$ROOTFS" && cp -a --parents "./$libraries/xtables" ./etc/protocols ./etc/services "$1/")
  for name in iptables iptables-save iptables-restore ip6tables ip6tables-save ip6tables-restore; do ln -sf xtables-nft-multi "$1/usr/sbin/$name"; done
}

# The node: Debian, kind's own base files (entrypoint, units) out of kind's module at the version that slipway uses,
# containerd and Kubernetes.
build_rootfs() {
  local kind name
  kind=$(cd "$ROOT" && go list -m -f '{{.Dir}}' sigs.k8s.io/kind)
  [ -d "$kind/images/base/files" ] || kind=$(go mod download -json "sigs.k8s.io/kind@$KIND" | jq -r .Dir)
  unpack_debian
  for name in usr/local/bin kind etc; do
    mkdir -p "$ROOTFS/$name"
    cp -R --no-preserve=mode,ownership "$kind/images/base/files/$name/." "$ROOTFS/$name/"
  done
  cp "$NODE_WORK"/containerd-bin/* "$ROOTFS/usr/local/bin/"
  cp "$KUBERNETES_FOLDER/hyperkube" "$ROOTFS/usr/bin/"
  for name in kubelet kubeadm kubectl; do ln -s hyperkube "$ROOTFS/usr/bin/$name"; done
  chmod 755 "$ROOTFS"/usr/local/bin/* "$ROOTFS/kind" "$ROOTFS/kind/bin" "$ROOTFS"/kind/bin/*
  trim_units
  mkdir -p "$ROOTFS/etc/kubernetes/manifests" "$ROOTFS/kind/manifests" "$ROOTFS/etc/cni/net.d" "$ROOTFS/opt/cni"
  ln -s /usr/lib/cni "$ROOTFS/opt/cni/bin"
  "$NODE_WORK/containerd-bin/ctr" oci spec |
    jq '.hooks.createContainer += [{"path": "/kind/bin/mount-product-files.sh"}] | del(.process.rlimits)' >"$ROOTFS/etc/containerd/cri-base.json"
  sed -i "s#pause:[0-9.]*\"#pause:$PAUSE\"#" "$ROOTFS/etc/containerd/config.toml"
  printf '%s' "$KUBERNETES" >"$ROOTFS/kind/version"
  write_manifests
}

# systemd starts only what a node needs: no udev, no consoles, no temporary files' service, no kernel log.
trim_units() {
  local units=$ROOTFS/lib/systemd/system
  find "$units/sysinit.target.wants/" -name systemd-tmpfiles-setup.service -delete
  rm -f "$units"/multi-user.target.wants/* "$ROOTFS"/etc/systemd/system/*.wants/* "$units"/local-fs.target.wants/* \
    "$units"/sockets.target.wants/*udev* "$units"/sockets.target.wants/*initctl* "$units"/basic.target.wants/*
  echo ReadKMsg=no >>"$ROOTFS/etc/systemd/journald.conf"
  [ -e "$ROOTFS/sbin/init" ] || ln -s /usr/lib/systemd/systemd "$ROOTFS/sbin/init"
  chroot "$ROOTFS" systemctl enable kubelet.service containerd.service undo-mount-hacks.service
  chroot "$ROOTFS" systemctl mask systemd-binfmt.service
}

# A single node needs no network controller: its containers are on one bridge, so kind's manifest for one only has to
# exist. So does the storage class, which nothing provisions for.
write_manifests() {
  cat >"$ROOTFS/etc/cni/net.d/10-local.conflist" <<'JSON'
{"cniVersion": "0.4.0", "name": "local", "plugins": [
  {"type": "ptp", "ipMasq": true, "mtu": 1500, "ipam": {"type": "host-local", "dataDir": "/run/cni-ipam-state",
    "routes": [{"dst": "0.0.0.0/0"}], "ranges": [[{"subnet": "10.244.0.0/24"}]]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
JSON
  cat >"$ROOTFS/kind/manifests/default-cni.yaml" <<'YAML'
apiVersion: v1
kind: ConfigMap
metadata: {name: static-cni, namespace: kube-system}
YAML
  cat >"$ROOTFS/kind/manifests/default-storage.yaml" <<'YAML'
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: standard, annotations: {storageclass.kubernetes.io/is-default-class: "true"}}
provisioner: kubernetes.io/no-provisioner
volumeBindingMode: WaitForFirstConsumer
YAML
}

# The node's containerd runs here for a moment, on the node's folders, and takes the images in. It needs neither a
# container nor any privilege, since nothing is unpacked.
preload() {
  local state pid code=0
  state=$(mktemp -d /tmp/slipway-images.XXXXXX) # short: the length of a socket's path is limited
  # shellcheck disable=SC2064 # the folder is known now
  trap "rm -rf '$state'" EXIT
  trap 'exit 143' TERM
  cat >"$state/config.toml" <<TOML
version = 3
root = "$ROOTFS/var/lib/containerd"
state = "$state/run"
disabled_plugins = ["io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri", "io.containerd.nri.v1.nri", "io.containerd.internal.v1.opt"]
[grpc]
address = "$state/containerd.sock"
[ttrpc]
address = "$state/ttrpc.sock"
TOML
  "$NODE_WORK/containerd-bin/containerd" --config "$state/config.toml" &
  pid=$!
  import_images "$state/containerd.sock" || code=$?
  kill "$pid"
  wait "$pid" || true
  return "$code"
}

import_images() {
  local try ctr=("$NODE_WORK/containerd-bin/ctr" --address "$1" --namespace k8s.io)
  for try in {1..60}; do
    ! "${ctr[@]}" version >/dev/null 2>&1 || break
    [ "$try" -lt 60 ] || { echo "containerd does not answer"; return 1; }
    sleep 0.5
  done
  "${ctr[@]}" images import --label=io.cri-containerd.pinned=pinned --all-platforms --no-unpack --digests "$NODE_WORK/images.tar" &&
    "${ctr[@]}" images list
}

import_node() {
  local archive=$NODE_WORK/archive
  rm -rf "$archive"
  tar -C "$ROOTFS" --numeric-owner -cf "$NODE_WORK/node.tar" .
  add_image "$archive" "$NODE_WORK/node.tar" "$(jq -nc --arg key "$LABEL" --arg recipe "$(recipe_of node)" '{
    Env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "container=docker"],
    Entrypoint: ["/usr/local/bin/entrypoint", "/sbin/init"], StopSignal: "SIGRTMIN+3", Labels: {($key): $recipe}}')" "$1"
  load "$archive"
}
