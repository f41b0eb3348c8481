package pack

import (
	"bufio"
	"bytes"
	"crypto/sha1" //nolint:gosec // git's format has it
	"encoding/binary"
	"io"
	"slices"
)

// writeIndex writes the index of a pack (gitformat-pack, version 2).
func writeIndex(to io.Writer, entries []entry, name []byte) error {
	order := make([]int32, len(entries))
	for i := range order {
		order[i] = int32(i) //nolint:gosec // bounded by Limits.Objects
	}
	slices.SortFunc(order, func(a, b int32) int { return bytes.Compare(entries[a].hash[:], entries[b].hash[:]) })
	order = slices.CompactFunc(order, func(a, b int32) bool { return entries[a].hash == entries[b].hash })

	sum := sha1.New() //nolint:gosec // git's format has it
	out := bufio.NewWriter(io.MultiWriter(to, sum))
	var word [8]byte
	write32 := func(value uint32) { _, _ = out.Write(binary.BigEndian.AppendUint32(word[:0], value)) } // Flush has the error
	_, _ = out.WriteString("\xfftOc")
	write32(2)
	at := 0
	for first := range 256 {
		for at < len(order) && int(entries[order[at]].hash[0]) == first {
			at++
		}
		write32(uint32(at)) //nolint:gosec // as above
	}
	for _, i := range order {
		_, _ = out.Write(entries[i].hash[:])
	}
	for _, i := range order {
		write32(entries[i].crc)
	}
	var far []int64 // offsets of more than 31 bits, which stand in a table of their own
	for _, i := range order {
		if offset := entries[i].offset; offset < 1<<31 {
			write32(uint32(offset)) //nolint:gosec // seen above
		} else {
			write32(1<<31 | uint32(len(far))) //nolint:gosec // as above
			far = append(far, offset)
		}
	}
	for _, offset := range far {
		_, _ = out.Write(binary.BigEndian.AppendUint64(word[:0], uint64(offset))) //nolint:gosec // not negative
	}
	_, _ = out.Write(name)
	if err := out.Flush(); err != nil {
		return err
	}
	_, err := to.Write(sum.Sum(nil))
	return err
}
