#!/usr/bin/env bash
# Usage: scripts/generate.sh
#
# Makes the generated files again: the deep copies of the API types (api/*/*/zz_generated.deepcopy.go) and the
# definitions of our kinds (embedded/crds), from the Go types. The generator is pinned in scripts/tools/go.mod.
set -euo pipefail
cd "$(dirname "$0")/.."

GO=${GO:-go}
bin=$PWD/out/tools
unset GOOS GOARCH
mkdir -p "$bin"
"$GO" build -C scripts/tools -buildvcs=false -o "$bin/" sigs.k8s.io/controller-tools/cmd/controller-gen

# The definitions first go to a folder of their own, so that a kind that is no more leaves nothing behind.
crds=$(mktemp -d)
trap 'rm -rf "$crds"' EXIT
GOFLAGS=-buildvcs=false "$bin/controller-gen" object paths=./api/...
GOFLAGS=-buildvcs=false "$bin/controller-gen" crd:generateEmbeddedObjectMeta=true paths=./api/... output:crd:dir="$crds"
mkdir -p embedded/crds
rm -f embedded/crds/*.yaml
cp "$crds"/*.yaml embedded/crds/
