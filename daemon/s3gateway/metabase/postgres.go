package metabase

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// postgresKV keeps the rows in one table of a PostgreSQL database that several
// gateways may share.
//
// Updates of one process queue and are run in groups: the first to arrive opens
// a transaction, locks the one row of cairn_lock, which excludes every other
// process, runs the updates that have queued by then one after another, and
// commits them together. So a group pays for one lock, one write and one fsync.
// An update that fails is left out; the others of its group are not disturbed.
//
// Within a group, changes stay in memory and reach the database at the end, or
// before a scan, which must see them. The SQL is plain enough for databases
// that speak PostgreSQL's protocol: no row comparison, no sequences, listing by
// keyset.
type postgresKV struct {
	pool *pgxpool.Pool

	queue chan *pgUpdate
	stop  context.CancelFunc
	done  chan struct{} // closed when the committer has ended

	life   sync.RWMutex // read-held by calls in progress
	closed bool         // guarded by life
}

type pgUpdate struct {
	ctx  context.Context
	fn   func(Tx) error
	err  error // set before done is closed
	done chan struct{}
}

const (
	// pgGroup is the most updates in one transaction.
	pgGroup = 128
	// pgRetries is how often a group is tried again after the database asked
	// for that or the connection broke before the commit.
	pgRetries = 5
	// pgPage is the most rows that a scan fetches at once.
	pgPage = 1000
)

const pgSchema = `
CREATE TABLE IF NOT EXISTS cairn_kv (key bytea PRIMARY KEY, value bytea NOT NULL);
CREATE TABLE IF NOT EXISTS cairn_lock (id integer PRIMARY KEY);
INSERT INTO cairn_lock (id) VALUES (1) ON CONFLICT DO NOTHING;`

// OpenPostgres opens a metabase in the database that dsn names (a URL or
// key=value string as libpq takes it), creating its tables when absent.
func OpenPostgres(ctx context.Context, dsn string, opts ...Option) (*DB, error) {
	kv, err := newPostgresKV(ctx, dsn)
	if err != nil {
		return nil, err
	}
	return New(ctx, kv, opts...)
}

func newPostgresKV(ctx context.Context, dsn string) (*postgresKV, error) {
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("reading the PostgreSQL address: %w", err)
	}
	// A commit must be on disk before it is acknowledged, whatever the server's
	// default is.
	cfg.ConnConfig.RuntimeParams["synchronous_commit"] = "on"
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("connecting to PostgreSQL: %w", err)
	}
	if err := createTables(ctx, pool); err != nil {
		pool.Close()
		return nil, fmt.Errorf("creating the metabase tables: %w", err)
	}
	life, stop := context.WithCancel(context.Background())
	kv := &postgresKV{pool: pool, queue: make(chan *pgUpdate, pgGroup), stop: stop, done: make(chan struct{})}
	go func() {
		defer close(kv.done)
		kv.commitLoop(life)
	}()
	return kv, nil
}

// createTables runs the schema. Gateways that start together may collide in
// CREATE TABLE IF NOT EXISTS, which PostgreSQL reports as a duplicate.
func createTables(ctx context.Context, pool *pgxpool.Pool) error {
	for try := 0; ; try++ {
		_, err := pool.Exec(ctx, pgSchema)
		var pg *pgconn.PgError
		if err == nil || try == pgRetries || !errors.As(err, &pg) || pg.Code != "23505" && pg.Code != "42P07" {
			return err
		}
	}
}

func (kv *postgresKV) enter() error {
	kv.life.RLock()
	if kv.closed {
		kv.life.RUnlock()
		return errClosed
	}
	return nil
}

func (kv *postgresKV) View(ctx context.Context, fn func(Tx) error) error {
	if err := kv.enter(); err != nil {
		return err
	}
	defer kv.life.RUnlock()
	tx, err := kv.pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return fmt.Errorf("opening a snapshot of the metabase: %w", err)
	}
	defer rollback(ctx, tx)
	return fn(&pgTx{ctx: ctx, tx: tx, readOnly: true})
}

func (kv *postgresKV) Update(ctx context.Context, fn func(Tx) error) error {
	if err := kv.enter(); err != nil {
		return err
	}
	defer kv.life.RUnlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	u := &pgUpdate{ctx: ctx, fn: fn, done: make(chan struct{})}
	kv.queue <- u
	<-u.done
	return u.err
}

func (kv *postgresKV) Close() error {
	kv.life.Lock()
	defer kv.life.Unlock()
	if kv.closed {
		return nil
	}
	kv.closed = true
	kv.stop()
	<-kv.done
	kv.pool.Close()
	return nil
}

const (
	// lockWatch is how often a connection that holds a lock is looked at.
	lockWatch = 5 * time.Second
	// lockAnswer is how long it has to answer.
	lockAnswer = 5 * time.Second
)

// Exclusive implements exclusive by an advisory lock, which a connection of its
// own holds: when that breaks, the server gives the lock to the next.
func (kv *postgresKV) Exclusive(ctx context.Context, name string, fn func(context.Context) error) error {
	conn, err := pgx.ConnectConfig(ctx, kv.pool.Config().ConnConfig)
	if err != nil {
		return fmt.Errorf("connecting for the lock %q: %w", name, err)
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), lockAnswer)
		defer cancel()
		_ = conn.Close(closing) // closed or broken, the lock is free
	}()
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock(hashtextextended($1, 0))", "cairn/"+name); err != nil {
		return fmt.Errorf("taking the lock %q: %w", name, err)
	}
	held, lost := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		look := time.NewTicker(lockWatch)
		defer look.Stop()
		for {
			select {
			case <-held.Done():
				return
			case <-look.C:
			}
			answer, cancel := context.WithTimeout(held, lockAnswer)
			err := conn.Ping(answer)
			cancel()
			if err != nil {
				lost(fmt.Errorf("the lock %q is lost: %w", name, err))
			}
		}
	}()
	err = fn(held)
	cause := context.Cause(held)
	lost(nil)
	<-watched
	if ctx.Err() == nil && cause != nil {
		return cause
	}
	return err
}

// commitLoop commits queued updates in groups until ctx is done. Close lets all
// updates end first, so that none is left in the queue then.
func (kv *postgresKV) commitLoop(ctx context.Context) {
	for {
		var group []*pgUpdate
		select {
		case <-ctx.Done():
			return
		case u := <-kv.queue:
			group = append(group, u)
		}
		for more := true; more && len(group) < pgGroup; {
			select {
			case u := <-kv.queue:
				group = append(group, u)
			default:
				more = false
			}
		}
		err := kv.commitGroup(ctx, group)
		for _, u := range group {
			if u.err == nil {
				u.err = err
			}
			close(u.done)
		}
	}
}

// commitGroup runs and commits a group. Errors of single updates are in the
// updates; the returned error is for all that have none.
func (kv *postgresKV) commitGroup(ctx context.Context, group []*pgUpdate) error {
	for try := 0; ; try++ {
		err := kv.tryGroup(ctx, group)
		if err == nil || try == pgRetries || !retriable(err) {
			return err
		}
		timer := time.NewTimer(time.Duration(1<<try) * 5 * time.Millisecond)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}

// errCommit marks failures of the commit itself, after which nobody knows
// whether it happened: such a group is not tried again.
type errCommit struct{ err error }

func (e errCommit) Error() string { return "committing to PostgreSQL: " + e.err.Error() }
func (e errCommit) Unwrap() error { return e.err }

func retriable(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		// serialization_failure and deadlock_detected roll the transaction back.
		return pg.Code == "40001" || pg.Code == "40P01"
	}
	var c errCommit
	return !errors.As(err, &c) && (pgconn.SafeToRetry(err) || errors.Is(err, errBroken))
}

// errBroken marks connection failures before the commit.
var errBroken = errors.New("connection to PostgreSQL broke")

// rollback ends a transaction that has not been committed. A connection on
// which that fails is closed by the pool, which ends the transaction too.
func rollback(ctx context.Context, tx pgx.Tx) { _ = tx.Rollback(context.WithoutCancel(ctx)) }

func (kv *postgresKV) tryGroup(ctx context.Context, group []*pgUpdate) error {
	tx, err := kv.pool.Begin(ctx)
	if err != nil {
		return fmt.Errorf("opening a transaction: %w: %w", errBroken, err)
	}
	defer rollback(ctx, tx)
	if _, err := tx.Exec(ctx, "SELECT id FROM cairn_lock WHERE id = 1 FOR UPDATE"); err != nil {
		return fmt.Errorf("locking the metabase: %w: %w", errBroken, err)
	}
	g := &pgTx{ctx: ctx, tx: tx, group: make(map[string][]byte)}
	for _, u := range group {
		u.err = u.ctx.Err()
		if u.err != nil {
			continue
		}
		if err := g.run(u); err != nil {
			return fmt.Errorf("%w: %w", errBroken, err)
		}
	}
	if err := g.flush(g.group); err != nil {
		return fmt.Errorf("%w: %w", errBroken, err)
	}
	if err := tx.Commit(ctx); err != nil {
		return errCommit{err}
	}
	return nil
}

// pgTx is the view of one update, or of a reader.
type pgTx struct {
	ctx      context.Context
	tx       pgx.Tx
	readOnly bool

	group map[string][]byte // changes of updates before this one, not yet in the database; nil value is a deletion
	own   map[string][]byte // changes of this update, likewise
	saved bool              // a savepoint holds the state before this update
	lost  error             // the database failed: the whole transaction is over
}

// run runs one update. It returns an error only when the transaction is lost.
func (t *pgTx) run(u *pgUpdate) error {
	t.own, t.saved, t.lost = make(map[string][]byte), false, nil
	u.err = u.fn(t)
	if t.lost != nil {
		u.err = nil
		return t.lost
	}
	if u.err != nil {
		if t.saved {
			if _, err := t.tx.Exec(t.ctx, "ROLLBACK TO SAVEPOINT cairn_update"); err != nil {
				u.err = nil
				return fmt.Errorf("undoing an update: %w", err)
			}
		}
		return nil
	}
	for k, v := range t.own {
		t.group[k] = v
	}
	return nil
}

func (t *pgTx) Get(key []byte) ([]byte, error) {
	for _, m := range []map[string][]byte{t.own, t.group} {
		if v, ok := m[string(key)]; ok {
			if v == nil {
				return nil, nil
			}
			return append(make([]byte, 0, len(v)), v...), nil
		}
	}
	var v []byte
	err := t.tx.QueryRow(t.ctx, "SELECT value FROM cairn_kv WHERE key = $1", key).Scan(&v)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, t.fail(fmt.Errorf("reading metabase row %q: %w", key, err))
	}
	if v == nil {
		v = []byte{}
	}
	return v, nil
}

// fail remembers that the transaction cannot go on.
func (t *pgTx) fail(err error) error {
	if t.lost == nil {
		t.lost = err
	}
	return err
}

func (t *pgTx) Set(key, value []byte) error {
	if t.readOnly {
		return errReadOnly
	}
	if value == nil {
		value = []byte{}
	}
	t.own[string(key)] = value
	return nil
}

func (t *pgTx) Delete(key []byte) error {
	if t.readOnly {
		return errReadOnly
	}
	t.own[string(key)] = nil
	return nil
}

// flush writes changes into the database and empties them.
func (t *pgTx) flush(changes map[string][]byte) error {
	if len(changes) == 0 {
		return nil
	}
	var setKeys, setValues, gone [][]byte
	for k, v := range changes {
		if v == nil {
			gone = append(gone, []byte(k))
			continue
		}
		setKeys, setValues = append(setKeys, []byte(k)), append(setValues, v)
	}
	if len(gone) > 0 {
		if _, err := t.tx.Exec(t.ctx, "DELETE FROM cairn_kv WHERE key = ANY($1::bytea[])", gone); err != nil {
			return fmt.Errorf("deleting metabase rows: %w", err)
		}
	}
	if len(setKeys) > 0 {
		const upsert = `INSERT INTO cairn_kv (key, value) SELECT * FROM unnest($1::bytea[], $2::bytea[])
			ON CONFLICT (key) DO UPDATE SET value = excluded.value`
		if _, err := t.tx.Exec(t.ctx, upsert, setKeys, setValues); err != nil {
			return fmt.Errorf("writing metabase rows: %w", err)
		}
	}
	clear(changes)
	return nil
}

// settle makes the database show all changes so far, with a way back for this
// update's.
func (t *pgTx) settle() error {
	if err := t.flush(t.group); err != nil {
		return t.fail(err)
	}
	if len(t.own) == 0 {
		return nil
	}
	if !t.saved {
		if _, err := t.tx.Exec(t.ctx, "SAVEPOINT cairn_update"); err != nil {
			return t.fail(fmt.Errorf("setting a savepoint: %w", err))
		}
		t.saved = true
	}
	if err := t.flush(t.own); err != nil {
		return t.fail(err)
	}
	return nil
}

type pgRow struct{ key, value []byte }

func (t *pgTx) Scan(start, end []byte, fn func(key, value []byte) (Next, error)) error {
	if !t.readOnly {
		if err := t.settle(); err != nil {
			return err
		}
	}
	// Pages grow, so that a scan for one row fetches few and a listing many.
	for n := 8; ; n = min(4*n, pgPage) {
		rows, err := t.page(start, end, n)
		if err != nil {
			return t.fail(fmt.Errorf("scanning metabase from %q: %w", start, err))
		}
		seek, stop, err := visit(rows, fn)
		if err != nil || stop {
			return err
		}
		switch {
		case seek != nil:
			start = seek
		case len(rows) < n:
			return nil
		default:
			start = following(rows[len(rows)-1].key)
		}
	}
}

// visit hands rows to fn. seek is where to go on when fn asked for a place
// beyond them.
func visit(rows []pgRow, fn func(key, value []byte) (Next, error)) (seek []byte, stop bool, err error) {
	for _, r := range rows {
		if seek != nil && bytes.Compare(r.key, seek) < 0 {
			continue
		}
		seek = nil
		next, err := fn(r.key, r.value)
		if err != nil || next.stop {
			return nil, true, err
		}
		if next.seek != nil {
			seek = append([]byte(nil), next.seek...)
		}
	}
	return seek, false, nil
}

func (t *pgTx) page(start, end []byte, n int) ([]pgRow, error) {
	var rows pgx.Rows
	var err error
	if start == nil {
		start = []byte{} // nil would be SQL's NULL
	}
	if end == nil {
		rows, err = t.tx.Query(t.ctx, "SELECT key, value FROM cairn_kv WHERE key >= $1 ORDER BY key LIMIT $2", start, n)
	} else {
		rows, err = t.tx.Query(t.ctx, "SELECT key, value FROM cairn_kv WHERE key >= $1 AND key < $2 ORDER BY key LIMIT $3", start, end, n)
	}
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (r pgRow, err error) {
		err = row.Scan(&r.key, &r.value)
		return r, err
	})
}
