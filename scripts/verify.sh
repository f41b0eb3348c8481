#!/usr/bin/env bash
# Usage: scripts/verify.sh [CHECK...]
#
# Checks the sources, and reports everything that fails, not only the first. The checks, all of them by default:
#   format     gofmt
#   vet        go vet
#   lint       staticcheck, at the version that scripts/lint/go.mod pins
#   generated  scripts/generate.sh changes nothing
#   modules    go mod tidy changes nothing
#   scripts    shellcheck
#   platforms  slipway compiles for Linux, macOS and Windows, and slipwayd for Linux
# Works on a clean checkout: nothing need be built before.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=machine.sh
source "$(dirname "$0")/machine.sh"
PLATFORMS="linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64"

case ${1:-} in
  -h | --help) usage; exit ;;
esac
need_go
cd "$ROOT"
unset GOOS GOARCH

check_format() {
  local files
  # What git knows or would add, so that no cache or build output counts; deleted files are still in its index.
  files=$(git ls-files --cached --others --exclude-standard '*.go' | while read -r file; do [ ! -f "$file" ] || echo "$file"; done | xargs gofmt -l)
  [ -z "$files" ] || { printf 'not formatted (gofmt -w):\n%s\n' "$files"; return 1; }
}

check_vet() { go vet ./...; }

check_lint() {
  mkdir -p out
  go build -C scripts/lint -buildvcs=false -o "$ROOT/out/staticcheck" honnef.co/go/tools/cmd/staticcheck && out/staticcheck ./...
}

# Generated files are compared with what they were a moment ago, so that work that is not committed yet can be checked.
check_generated() {
  local before after
  before=$(tree_state)
  scripts/generate.sh || return 1
  after=$(tree_state)
  [ "$before" = "$after" ] || { echo "scripts/generate.sh changed these files (commit them):"; diff <(echo "$before") <(echo "$after") | sed -n 's/^[<>] [^ ]* *//p' | sort -u; return 1; }
}

tree_state() {
  git ls-files --cached --others --exclude-standard | while read -r file; do [ ! -f "$file" ] || echo "$(git hash-object "$file") $file"; done
}

check_modules() { go mod tidy -diff; }

check_scripts() {
  if ! has shellcheck; then
    if ! debian_root; then echo "shellcheck is not installed: not checked"; return; fi
    apt_install shellcheck
  fi
  git ls-files --cached --others --exclude-standard '*.sh' .ci/run | xargs shellcheck -x
}

# The programs are compiled one after another: they share nearly all of their packages with the platform before.
check_platforms() {
  local platform code=0
  for platform in $PLATFORMS; do
    echo "slipway for $platform"
    CGO_ENABLED=0 GOOS=${platform%/*} GOARCH=${platform#*/} go build -buildvcs=false -o /dev/null ./cmd/slipway || code=1
  done
  for platform in linux/amd64 linux/arm64; do
    echo "slipwayd for $platform"
    CGO_ENABLED=0 GOOS=${platform%/*} GOARCH=${platform#*/} go build -buildvcs=false -o /dev/null ./cmd/slipwayd || code=1
  done
  return "$code"
}

[ $# -gt 0 ] || set -- format vet lint generated modules scripts platforms
show=60 # lines of each check, but all of one that is run alone
[ $# -gt 1 ] || show=100000
failed=()
log=$(mktemp)
trap 'rm -f "$log"' EXIT
for check; do
  declare -F "check_$check" >/dev/null || { usage >&2; exit 2; }
  began=$SECONDS
  # Each check decides by its last command; a shell of its own keeps it from ending this one.
  if (set +e; "check_$check") >"$log" 2>&1; then
    say "ok      $check ($((SECONDS - began)) s)"
  else
    failed+=("$check")
    say "FAILED  $check ($((SECONDS - began)) s)"
  fi
  sed "s/^/          /; ${show}q" "$log" >&2
  [ "$(wc -l <"$log")" -le "$show" ] || say "        ($(wc -l <"$log") lines; all of them: scripts/verify.sh $check)"
done
[ ${#failed[@]} -eq 0 ] || fail "these checks failed: ${failed[*]}" "Each can be run alone: scripts/verify.sh ${failed[0]}"
say "all checks passed"
