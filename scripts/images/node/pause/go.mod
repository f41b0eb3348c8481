module slipway.dev/slipway/scripts/images/node/pause

go 1.26
