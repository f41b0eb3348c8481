#!/usr/bin/env bash
# Usage: scripts/upstream.sh [--force]
#
# Fills embedded/upstream/ with what slipway embeds of other projects, at the versions that scripts/upstream/go.mod pins:
#   cert-manager/          cert-manager's Helm chart, out of its Go module
#   ca-certificates.crt    the certificate authorities that Mozilla trusts
#   zoneinfo.zip           the time zone database of the Go toolchain in use
# Does nothing when all of it is there and current; --force makes it again.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=machine.sh
source "$(dirname "$0")/machine.sh"

case ${1:-} in
  -h | --help) usage; exit ;;
  "" | --force) ;;
  *) usage >&2; exit 2 ;;
esac
need_go

pins=$ROOT/scripts/upstream
target=$ROOT/embedded/upstream
module=github.com/cert-manager/cert-manager
# This program is for this machine, whatever the build's target is.
unset GOOS GOARCH

recipe=$({ cat "$0" "$pins/go.mod" "$pins/go.sum" "$pins/main.go"; go env GOVERSION; } | sha256 | cut -c1-16)
sources=$target/SOURCES
if [ "${1:-}" != --force ] && grep -qs "^recipe $recipe$" "$sources"; then
  exit 0
fi

fresh=$(mktemp -d "$target/.fresh.XXXXXX")
trap 'rm -rf "$fresh"' EXIT

say "fetching the pinned modules"
cd "$pins"
go mod download "$module"
directory=$(go list -m -f '{{.Dir}}' "$module")
version=$(go list -m -f '{{.Version}}' "$module")

# The chart is complete in the module but for its version, which upstream's release sets, and for the files that
# Helm leaves out of a package.
chart=$fresh/cert-manager
mkdir "$chart"
cp -R "$directory/deploy/charts/cert-manager/." "$chart/"
chmod -R u+w "$chart"
rm -rf "$chart/tests" "$chart/README.template.md" "$chart/values.linter.exceptions" "$chart/signkey_annotation.txt" "$chart/.gitignore"
sed "s/^version: v0\.0\.0$/version: $version/; s/^appVersion: v0\.0\.0$/appVersion: $version/" "$chart/Chart.yaml" >"$chart/Chart.yaml.new"
mv "$chart/Chart.yaml.new" "$chart/Chart.yaml"
[ "$(grep -c "ersion: $version$" "$chart/Chart.yaml")" -eq 2 ] || fail "cert-manager's Chart.yaml is not as this script expects it"

go run -buildvcs=false . >"$fresh/ca-certificates.crt"
cp "$(go env GOROOT)/lib/time/zoneinfo.zip" "$fresh/zoneinfo.zip"
chmod u+w "$fresh/zoneinfo.zip"
{
  echo "recipe $recipe"
  echo "cert-manager $module $version"
  echo "ca-certificates.crt $(go list -m golang.org/x/crypto/x509roots/fallback)"
  echo "zoneinfo.zip $(go env GOVERSION)"
} >"$fresh/SOURCES"

# SOURCES goes first and comes last: an interrupted run is not taken for a finished one.
rm -rf "$sources" "$target/cert-manager"
mv "$chart" "$fresh/ca-certificates.crt" "$fresh/zoneinfo.zip" "$target/"
mv "$fresh/SOURCES" "$sources"
say "embedded/upstream is filled: cert-manager $version, $(grep -c BEGIN "$target/ca-certificates.crt") certificate authorities, time zones of $(go env GOVERSION)"
