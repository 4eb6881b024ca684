package node

import (
	"context"
	"sync"

	rpcclient "github.com/cometbft/cometbft/rpc/client"
	coretypes "github.com/cometbft/cometbft/rpc/core/types"
)

// closingEvents is an events client whose channels end. CometBFT never closes a subscription's
// channel, and the JSON-RPC streams wait for just that before they stop.
type closingEvents struct {
	rpcclient.EventsClient

	once sync.Once
	done chan struct{} // closed by UnsubscribeAll
}

func newClosingEvents(client rpcclient.EventsClient) *closingEvents {
	return &closingEvents{EventsClient: client, done: make(chan struct{})}
}

// Subscribe returns a channel that is closed by UnsubscribeAll.
func (e *closingEvents) Subscribe(ctx context.Context, subscriber, query string, capacity ...int) (<-chan coretypes.ResultEvent, error) {
	in, err := e.EventsClient.Subscribe(ctx, subscriber, query, capacity...)
	if err != nil {
		return nil, err
	}
	out := make(chan coretypes.ResultEvent)
	go func() {
		defer close(out)
		for {
			select {
			case event := <-in:
				select {
				case out <- event:
				case <-e.done:
					return
				}
			case <-e.done:
				return
			}
		}
	}()
	return out, nil
}

// UnsubscribeAll ends all subscriptions of this client. It may be called again.
func (e *closingEvents) UnsubscribeAll(ctx context.Context, subscriber string) (err error) {
	e.once.Do(func() {
		close(e.done)
		err = e.EventsClient.UnsubscribeAll(ctx, subscriber)
	})
	return err
}
