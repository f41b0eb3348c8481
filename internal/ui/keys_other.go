//go:build !linux && !darwin

package ui

// listenForKeys finds no keys here: the live view says so by not offering any.
func listenForKeys(*Streams, func()) *keyboard { return nil }
