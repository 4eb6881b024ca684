package app_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
	"github.com/stretchr/testify/require"
)

// TestQueriesSeeTheLatestBlock asks while blocks are committed: every query finds a height, none an
// older one than a query before it, and after a block all find that block.
func TestQueriesSeeTheLatestBlock(t *testing.T) {
	c := newChain(t, "alice")
	for range 2 {
		var done atomic.Bool
		var asking sync.WaitGroup
		asking.Go(func() {
			for last := int64(0); !done.Load(); {
				ctx, err := c.app.CreateQueryContext(0, false)
				if errors.Is(err, sdkerrors.ErrInvalidHeight) {
					// The application looks at its two states one after the other, and a block ended in between.
					ctx, err = c.app.CreateQueryContext(0, false)
				}
				if err != nil {
					t.Errorf("after height %d: %v", last, err)
					return
				}
				if ctx.BlockHeight() < last {
					t.Errorf("height %d after %d", ctx.BlockHeight(), last)
					return
				}
				last = ctx.BlockHeight()
			}
		})
		for range 40 {
			c.must()
			ctx, err := c.app.CreateQueryContext(0, false)
			require.NoError(t, err)
			require.Equal(t, c.height, ctx.BlockHeight())
		}
		done.Store(true)
		asking.Wait()
		c.restart()
		c.must() // before that, there is no state to check headers against
	}
}
