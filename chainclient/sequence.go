package chainclient

import (
	"context"
)

// sequencer hands out the account's sequence numbers. Its lock is held while a transaction is
// simulated, signed and handed to the node, so that the node sees sequences in order; waiting
// for inclusion happens outside. Fields are guarded by the lock unless said otherwise.
type sequencer struct {
	lock chan struct{} // holds one token while free

	known   bool   // number and next are the chain's
	account uint64 // account number
	next    uint64 // sequence of the next transaction
	flight  int    // transactions handed over and not yet included or dead
	landed  chan struct{}
}

func newSequencer() *sequencer {
	s := &sequencer{lock: make(chan struct{}, 1), landed: make(chan struct{})}
	s.lock <- struct{}{}
	return s
}

// acquire takes the lock or returns the error of ctx.
func (s *sequencer) acquire(ctx context.Context) error {
	select {
	case <-s.lock:
		return nil
	default:
	}
	select {
	case <-s.lock:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *sequencer) release() { s.lock <- struct{}{} }

// drain waits, without the lock but holding it on entry and on return without error, until no
// transaction is in flight.
func (s *sequencer) drain(ctx context.Context) error {
	for s.flight > 0 {
		landed := s.landed
		s.release()
		select {
		case <-landed:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := s.acquire(ctx); err != nil {
			return err
		}
	}
	return nil
}

// land notes that a transaction in flight was included, or is dead: then what the chain's
// sequence is must be asked again. It takes the lock whatever happens to the caller's context.
func (s *sequencer) land(included bool) {
	<-s.lock
	defer s.release()
	s.flight--
	if !included {
		s.known = false
	}
	close(s.landed)
	s.landed = make(chan struct{})
}
