#!/bin/sh
# Any program may build: this one leaves a folder with a compiled program and the texts that it reads. slipway says for
# which platform, and where to leave it.
set -eu
mkdir -p "$SLIPWAY_OUTPUT"
echo "compiling for $SLIPWAY_PLATFORM"
GOOS=${SLIPWAY_PLATFORM%%/*} GOARCH=$(echo "$SLIPWAY_PLATFORM" | cut -d / -f 2) CGO_ENABLED=0 \
  go build -trimpath -buildvcs=false -ldflags '-s -w' -o "$SLIPWAY_OUTPUT/notes" .
cp -r texts "$SLIPWAY_OUTPUT/texts"
