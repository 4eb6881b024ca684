package node

import (
	"errors"
	"fmt"
	"sync"

	cmtdb "github.com/cometbft/cometbft-db"
	cmtcfg "github.com/cometbft/cometbft/config"
)

// databases opens consensus' databases and closes them all: CometBFT forgets the transaction index,
// whose lock would keep a node from starting again in this process.
type databases struct {
	opened []*quietDB
}

func (d *databases) open(ctx *cmtcfg.DBContext) (cmtdb.DB, error) {
	db, err := cmtcfg.DefaultDBProvider(ctx)
	if err != nil {
		return nil, fmt.Errorf("opening the %s database of consensus: %w", ctx.ID, err)
	}
	quiet := &quietDB{DB: db}
	d.opened = append(d.opened, quiet)
	return quiet, nil
}

// close closes what its owner has not.
func (d *databases) close() error {
	var errs []error
	for _, db := range d.opened {
		errs = append(errs, db.Close())
	}
	return errors.Join(errs...)
}

// quietDB holds nothing once it is closed. CometBFT's gossip with a peer outlives the node by up to
// two seconds and still reads the block store; from a closed database it gets an error, and panics,
// which would take the other nodes of this process along. That a block is not there, as after
// pruning, it expects.
type quietDB struct {
	cmtdb.DB

	mu     sync.RWMutex // held for reading while the database is read
	closed bool
}

// Get returns nil if there is no such key, or no database any more.
func (q *quietDB) Get(key []byte) ([]byte, error) {
	q.mu.RLock()
	defer q.mu.RUnlock()
	if q.closed {
		return nil, nil
	}
	return q.DB.Get(key)
}

// Has is false if there is no such key, or no database any more.
func (q *quietDB) Has(key []byte) (bool, error) {
	q.mu.RLock()
	defer q.mu.RUnlock()
	if q.closed {
		return false, nil
	}
	return q.DB.Has(key)
}

// Close closes the database after the reads under way. It may be called again.
func (q *quietDB) Close() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return nil
	}
	q.closed = true
	return q.DB.Close()
}
