package market

import "cosmossdk.io/collections"

// deadlineKey is one entry of the queue: when (Unix seconds), what kind, and of what.
type deadlineKey = collections.Quad[int64, int32, uint64, uint64]

const (
	itemDeadline  int32 = 1 // lease, device
	orderDeadline int32 = 2 // order, 0
)

var deadlineCodec = collections.NamedQuadKeyCodec(
	"at", collections.Int64Key, "kind", collections.Int32Key, "id", collections.Uint64Key, "device", collections.Uint64Key)
