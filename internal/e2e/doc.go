// Package e2e tests the built slipway as its user runs it: on a real engine, a real kind cluster, a real registry and
// real pods. It holds tests only. They run when SLIPWAY_E2E is set and SLIPWAY_BIN names the program; `make e2e` sees to
// both. Every environment that they make has a name beginning with e2e, and is removed again, also after a failure.
package e2e
