# shellcheck shell=bash
# Sourced by the scripts of this folder: the versions, the hash of a recipe, the cache, and stages with progress.
# shellcheck source-path=SCRIPTDIR source=../machine.sh
source "$(dirname "${BASH_SOURCE[0]}")/../machine.sh"

IMAGES=$ROOT/scripts/images
KUBERNETES=v1.36.3 # what follows are the versions that its kubeadm asks for
COREDNS=v1.14.2 PAUSE=3.10.2 ETCD=3.6.8-0
DEBIAN=bookworm # on purpose: later releases' systemd does not boot on hosts with cgroup v1
CERT_MANAGER=v1.21.2
CERT_MANAGER_PROGRAMS="controller cainjector webhook" # the chart is installed with startupapicheck.enabled=false
BUSYBOX=1.35.0 # the version of Debian's package
# shellcheck disable=SC2034 # used by the scripts that source this one
KIND=$(awk '$1 == "sigs.k8s.io/kind" {print $2; exit}' "$ROOT/go.mod")
NODE_IMAGE=kindest/node:$KUBERNETES
LABEL=slipway.dev/recipe

# Whatever slipway is built for, these programs are for this machine.
unset GOOS GOARCH
export CGO_ENABLED=0
OS_ARCH=$(uname -s -m)
CACHE=${XDG_CACHE_HOME:-${HOME:?}/.cache}/slipway/images

# images node|cert-manager|busybox: what the recipe makes, one image a line.
images() {
  # shellcheck disable=SC2086 # a line for each of the words
  case $1 in
    node) echo "$NODE_IMAGE" ;;
    busybox) echo "busybox:$BUSYBOX" ;;
    cert-manager) printf "quay.io/jetstack/cert-manager-%s:$CERT_MANAGER\n" $CERT_MANAGER_PROGRAMS ;;
  esac
}

# recipe_of kubernetes|node|cert-manager|busybox: the hash of everything that decides what the recipe makes, but for the
# patch release of Go, which is not worth ten minutes.
recipe_of() {
  case $1 in
    kubernetes) hash_of "$KUBERNETES" "$IMAGES"/kubernetes.sh "$IMAGES"/node/kubernetes/* ;;
    node) hash_of "$KUBERNETES $KIND $COREDNS $PAUSE $ETCD $DEBIAN" "$IMAGES"/kubernetes.sh "$IMAGES"/archive.sh "$IMAGES"/node/*.sh "$IMAGES"/node/*/* ;;
    cert-manager) hash_of "$CERT_MANAGER $CERT_MANAGER_PROGRAMS" "$IMAGES"/archive.sh "$IMAGES"/cert-manager/* ;;
    busybox) hash_of "$BUSYBOX $DEBIAN" "$IMAGES"/archive.sh "$IMAGES"/busybox/* ;;
    *) fail "no recipe is named $1" ;;
  esac
}

# Lines that are only a shell comment do not count.
hash_of() { { echo "$OS_ARCH $1"; cat "${@:2}" | sed '/^ *#/d'; } | sha256 | cut -c 1-16; }

# folder_of RECIPE: where a recipe works. Folders of the same recipe with another hash are out of date.
folder_of() { echo "$CACHE/$1-$(recipe_of "$1")"; }

remove_old() {
  local folder keep
  keep=$(folder_of "$1")
  for folder in "$CACHE/$1"-????????????????; do
    [ ! -d "$folder" ] || [ "$folder" = "$keep" ] || remove_folder "$folder"
  done
}

# remove_folder DIR: never leaves the file system, should something be mounted below.
remove_folder() { chmod -R u+w "$1" 2>/dev/null || true; rm -rf --one-file-system "$1"; }

# label_of IMAGE: the hash of the recipe that made the image; "upstream" for one that no recipe of ours made;
# nothing (and false) if the engine has no such image.
label_of() {
  docker image inspect -f "{{with .Config.Labels}}{{index . \"$LABEL\"}}{{end}}" "$1" 2>/dev/null | sed 's/^$/upstream/' | grep .
}

# exclusive: two builds at a time would use each other's half-made files.
exclusive() {
  mkdir -p "$CACHE"
  has flock || return 0
  exec 9>"$CACHE/lock"
  flock -n 9 && return
  say "waiting for another build of images to end"
  flock 9
}

# stage WHAT COMMAND...: runs a shell function or program with its output in a log, with a line at its start, every 20
# seconds and at its end; on failure with the end of the log. The command runs in a process group of its own, so that
# an interrupt ends all of it.
STAGE_GROUP=
STAGE_TICKER=
stage() {
  local what=$1 log=${STAGE_LOG:-$CACHE/build.log} began=$SECONDS code=0
  shift
  say "$(elapsed) $what ..."
  : >"$log"
  set -m
  ("$@") >"$log" 2>&1 </dev/null 9>&- &
  STAGE_GROUP=$!
  heartbeat "$what" "$log" "$began" 9>&- &
  STAGE_TICKER=$!
  set +m
  wait "$STAGE_GROUP" || code=$?
  STAGE_GROUP=
  stop_stage
  if [ "$code" -ne 0 ]; then
    tail -n 25 "$log" >&2
    fail "$what: ended with code $code" "The whole log: $log"
  fi
}

heartbeat() {
  local lines
  while sleep 20; do
    lines=$(wc -l <"$2")
    say "$(elapsed) $1: $((SECONDS - $3)) s, $lines lines; last: $(tail -n 1 "$2" | cut -c 1-90)"
  done
}

elapsed() { printf '%02d:%02d' $((SECONDS / 60)) $((SECONDS % 60)); }

# stop_stage: for the trap of a script, too.
stop_stage() {
  [ -z "$STAGE_GROUP" ] || kill -- "-$STAGE_GROUP" 2>/dev/null || true
  [ -z "$STAGE_TICKER" ] || kill -- "-$STAGE_TICKER" 2>/dev/null || true
  [ -z "$STAGE_TICKER" ] || wait "$STAGE_TICKER" 2>/dev/null || true
  STAGE_GROUP=
  STAGE_TICKER=
}
