module slipway.dev/slipway/scripts/upstream

go 1.26.0

require (
	github.com/cert-manager/cert-manager v1.21.2
	golang.org/x/crypto/x509roots/fallback v0.0.0-20261030153154-30a33513ff6d
)
