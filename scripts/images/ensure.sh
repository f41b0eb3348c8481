#!/usr/bin/env bash
# Usage: scripts/images/ensure.sh
#
# Makes sure that the Docker engine has the images that slipway and its examples need: kindest/node, cert-manager's, busybox. One that is
# there is used. One that is missing is pulled, and built by scripts/images/build.sh where its registry is not reachable.
set -euo pipefail
SAY=images
# shellcheck source-path=SCRIPTDIR source=recipe.sh
source "$(dirname "$0")/recipe.sh"

ANSWER_SECONDS=20 # for a registry's first answer
PULL_SECONDS=1200 # for an image, once its registry has answered

case ${1:-} in
  -h | --help) usage; exit ;;
  "") ;;
  *) usage >&2; exit 2 ;;
esac
docker info >/dev/null 2>&1 || fail "no Docker engine answers" "make engine arranges one."

# pull IMAGE: true when it is pulled. The engine is asked, since it may have another way out (proxies, mirrors) than
# this shell; an engine that cannot reach a registry may try for minutes, so its first answer must come soon.
PULL=
PULL_LOG=
pull() {
  local began=$SECONDS limit=$ANSWER_SECONDS
  say "pulling $1"
  docker pull "$1" >"$PULL_LOG" 2>&1 </dev/null &
  PULL=$!
  while kill -0 "$PULL" 2>/dev/null; do
    if [ "$limit" = "$ANSWER_SECONDS" ] && grep -q ' Pulling ' "$PULL_LOG"; then limit=$PULL_SECONDS; fi
    if [ $((SECONDS - began)) -ge "$limit" ]; then
      stop_pull
      say "$1: no answer within $limit s"
      return 1
    fi
    sleep 0.2
  done
  if wait "$PULL"; then PULL=; return; fi
  PULL=
  say "$1 cannot be pulled: $(tail -n 1 "$PULL_LOG")"
  return 1
}

stop_pull() {
  [ -z "$PULL" ] || kill "$PULL" 2>/dev/null || true
  [ -z "$PULL" ] || wait "$PULL" 2>/dev/null || true
  PULL=
}

PULL_LOG=$(mktemp)
trap 'stop_pull; rm -f "$PULL_LOG"' EXIT
trap 'exit 130' INT TERM

for recipe in node cert-manager busybox; do
  reachable=yes built=
  while read -r image; do
    label=$(label_of "$image") || label=
    if [ "$label" = upstream ] || { [ -n "$label" ] && [ "$label" = "$(recipe_of "$recipe")" ]; }; then
      say "$image is there"
    elif [ -n "$label" ] || [ -z "$reachable" ] || ! pull "$image"; then
      # What an older recipe made is made again; and a registry that did not answer once is not asked for the next.
      reachable='' built=yes
    else
      say "pulled $image"
    fi
  done < <(images "$recipe")
  if [ -n "$built" ]; then
    say "building what is missing of $recipe (scripts/images/build.sh)"
    "$IMAGES/build.sh" "$recipe"
  fi
done
