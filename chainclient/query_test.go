package chainclient

import (
	"context"
	"errors"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	devicev1 "github.com/cairn-network/cairn/api/cairn/device/v1"
)

func TestListsAreWhole(t *testing.T) {
	n, c := start(t, Config{})
	for id := range uint64(5) {
		n.devices = append(n.devices, devicev1.Device{Id: id})
	}
	devices, err := c.Devices(t.Context(), DeviceFilter{Kind: "storage"})
	require.NoError(t, err)
	require.Len(t, devices, 5)
	require.Equal(t, uint64(4), devices[4].Id)
}

func TestAbsentThingsAreNotFound(t *testing.T) {
	_, c := start(t, Config{})
	_, err := c.Device(t.Context(), 99)
	require.ErrorIs(t, err, ErrNotFound)
	require.ErrorIs(t, err, Code{"device", 2})
	require.ErrorContains(t, err, "99")
	_, err = c.Transaction(t.Context(), "AB")
	require.ErrorIs(t, err, ErrNotFound)
}

func TestLatestBlockAndChainID(t *testing.T) {
	_, c := start(t, Config{})
	id, err := c.ChainID(t.Context())
	require.NoError(t, err)
	require.Equal(t, testChain, id)
	b, err := c.LatestBlock(t.Context())
	require.NoError(t, err)
	require.Equal(t, int64(10), b.Height)
	require.Equal(t, int64(1_900_000_010), b.Time.Unix())
}

func TestFollowSeesEveryBlockOnceAndResumes(t *testing.T) {
	n, c := start(t, Config{})
	for range 5 {
		n.commit() // 11..15
	}
	enough := errors.New("enough")
	var seen []int64
	follow := func(from, until int64) error {
		return c.Follow(t.Context(), from, func(_ context.Context, b BlockEvents) error {
			require.Equal(t, "block", b.Events[len(b.Events)-1].Type)
			seen = append(seen, b.Height)
			if b.Height == until {
				return enough
			}
			if b.Height == 13 {
				n.set(func(n *node) { n.away = 20 })
			}
			return nil
		})
	}
	require.ErrorIs(t, follow(11, 14), enough)
	require.ErrorIs(t, follow(15, 18), enough) // beyond the tip: waits for blocks
	require.Equal(t, []int64{11, 12, 13, 14, 15, 16, 17, 18}, seen)

	seen = nil
	from := n.height
	require.ErrorIs(t, follow(0, from+2), enough)
	require.Equal(t, []int64{from + 1, from + 2}, seen)
}

func TestFollowOrdersTransactionsBeforeTheBlocksOwnEventsAndSkipsFailed(t *testing.T) {
	n, c := start(t, Config{})
	require.NoError(t, c.Announce(t.Context(), &devicev1.MsgAnnounce{Id: 1}))
	good := n.height
	n.set(func(n *node) { n.fail = &Code{"sdk", 5} })
	require.Error(t, c.Announce(t.Context(), &devicev1.MsgAnnounce{Id: 1}))
	done := errors.New("done")
	kinds := map[int64][]string{}
	last := n.height
	err := c.Follow(t.Context(), 11, func(_ context.Context, b BlockEvents) error {
		for _, e := range b.Events {
			kinds[b.Height] = append(kinds[b.Height], e.Type)
		}
		if b.Height == last {
			return done
		}
		return nil
	})
	require.ErrorIs(t, err, done)
	require.Equal(t, []string{"tx", "block"}, kinds[good])
	require.Equal(t, []string{"block"}, kinds[last])
}

func TestFollowOfAPrunedBlock(t *testing.T) {
	n, c := start(t, Config{})
	for range 5 {
		n.commit()
	}
	n.pruned = 13
	err := c.Follow(t.Context(), 12, func(context.Context, BlockEvents) error { return nil })
	require.ErrorIs(t, err, ErrPruned)
}

func TestFollowWaitsForABlockThatIsNotExecutedYet(t *testing.T) {
	n, c := start(t, Config{})
	n.commit()
	n.set(func(n *node) { n.pruned = n.height }) // tip without results
	done := errors.New("done")
	err := c.Follow(t.Context(), 11, func(_ context.Context, b BlockEvents) error { return done })
	require.ErrorIs(t, err, ErrPruned) // the next block makes the absence final
	n.set(func(n *node) { n.pruned = 0 })
	require.ErrorIs(t, c.Follow(t.Context(), 11, func(context.Context, BlockEvents) error { return done }), done)
}

func TestEventsOfOurModulesDecode(t *testing.T) {
	e := Event{Type: "cairn.device.v1.EventRegistered", Attributes: []Attribute{
		{"id", `"7"`}, {"owner", `"cairn1x"`}, {"kind", `"storage"`}, {"msg_index", "0"},
	}}
	m, err := e.Message()
	require.NoError(t, err)
	require.Equal(t, &devicev1.EventRegistered{Id: 7, Owner: "cairn1x", Kind: "storage"}, m)
	_, err = Event{Type: "no.such.Event"}.Message()
	require.ErrorContains(t, err, "no.such.Event")
}

func TestParseStatus(t *testing.T) {
	code, log, ok := parseStatus("codespace market code 12: offer 3: closed")
	require.True(t, ok)
	require.Equal(t, Code{"market", 12}, code)
	require.Equal(t, "offer 3: closed", log)
	for _, s := range []string{"", "codespace ", "codespace  code 1: x", "codespace a b code 1: x", "codespace a code -1: x", "codespace a code 4294967296: x", "codespace a code 1"} {
		_, _, ok := parseStatus(s)
		require.False(t, ok, s)
	}
	require.NoError(t, queryError(nil))
	plain := errors.New("plain")
	require.Equal(t, plain, queryError(plain))
	require.ErrorIs(t, queryError(status.Error(codes.Unknown, "codespace sdk code 38: gone")), ErrNotFound)
}

func FuzzParseStatus(f *testing.F) {
	f.Add("codespace market code 12: offer 3: closed")
	f.Add("codespace x code ")
	f.Fuzz(func(t *testing.T, s string) {
		if code, log, ok := parseStatus(s); ok {
			again, sameLog, ok := parseStatus("codespace " + code.Space + " code " + strconv.FormatUint(uint64(code.Number), 10) + ": " + log)
			require.True(t, ok)
			require.Equal(t, code, again)
			require.Equal(t, log, sameLog)
		}
	})
}
