// Package fastlane brings what was saved straight into the running pods of an app, where a supervisor (package
// supervise) takes it and starts the process anew. It decides whether a batch of changes can go that way, and compares
// in the end what it brought with what the supply chain's image holds. Building, following the chain and showing things
// are the business of package dev, which calls it.
package fastlane
