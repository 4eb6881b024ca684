package md5lanes

import "golang.org/x/sys/cpu"

//go:generate go run gen.go

// blocksAVX2 adds n blocks to each lane's state: lane i reads them from base + i*slotSize.
//
//go:noescape
func blocksAVX2(state *[4][Lanes]uint32, base *byte, n int)

// together returns what hashes all lanes at once on this processor; nil for nothing.
func together() func(state *[4][Lanes]uint32, base *byte, n int) {
	if cpu.X86.HasAVX2 {
		return blocksAVX2
	}
	return nil
}
