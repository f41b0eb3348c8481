#!/usr/bin/env bash
# Usage: scripts/demo.sh
#
# From nothing to a running app: arranges a Docker engine, builds bin/slipway, pulls or builds the images, runs
# `slipway up` and `slipway dev --once examples/hello`, and shows the app's URL, its answer and what to try next.
# Run it again as you like: what is done already takes a second or two. `bin/slipway down` removes what it started.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=machine.sh
source "$(dirname "$0")/machine.sh"

case ${1:-} in
  -h | --help) usage; exit ;;
  "") ;;
  *) usage >&2; exit 2 ;;
esac
cd "$ROOT"
need_go

step() { printf '\n== %s\n' "$*"; }

# app_url NAME: the workload's URL out of `slipway status`, which has one object a workload. No JSON program is needed
# on the machine for this one field.
app_url() {
  { bin/slipway status -o json || true; } | tr -d '\n' | tr '{}' '\n' |
    grep -E "\"name\": *\"$1\"" | sed -n 's/.*"url": *"\([^"]*\)".*/\1/p' | head -n 1
}

# answer_of URL: names under localhost are this machine, but not every resolver knows that; curl and this do.
answer_of() {
  local rest=${1#http://} host port path
  host=${rest%%/*} path=/${rest#"${rest%%/*}"}
  port=${host##*:}
  [ "$port" != "$host" ] || port=80
  if has curl; then
    curl -fsS --max-time 10 --noproxy '*' --resolve "${host%%:*}:$port:127.0.0.1" "$1"
    return
  fi
  exec 3<>"/dev/tcp/127.0.0.1/$port"
  printf 'GET /%s HTTP/1.0\r\nHost: %s\r\n\r\n' "${path##/}" "$host" >&3
  tr -d '\r' <&3 | sed '1,/^$/d'
  exec 3>&-
}

step "a Docker engine"
scripts/engine.sh
step "bin/slipway"
make --no-print-directory build
step "the images"
scripts/images/ensure.sh
step "slipway up"
bin/slipway up
step "slipway dev --once examples/hello"
bin/slipway dev --once examples/hello

url=$(app_url hello)
[ -n "$url" ] || fail "the app runs, but slipway status names no URL of it" "bin/slipway status shows what is there."
step "the app answers at $url"
answer_of "$url"

cat <<'TEXT'

What to try next:
  bin/slipway dev examples/hello     then change its answer in an editor: every save is built, pushed and rolled out
  bin/slipway status                 what runs, and where
  kubectl --context kind-slipway get workloads,clustersupplychains,images.slipway.dev,deployments
  bin/slipway down                   removes all of it
TEXT
