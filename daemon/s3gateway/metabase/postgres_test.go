package metabase

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/cairn-network/cairn/daemon/s3gateway/metabase/pgtest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := pgtest.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// TestOneOfSeveralHoldsALock: what runs under a name runs in one gateway at a time, and goes on in
// another when the server takes the lock away.
func TestOneOfSeveralHoldsALock(t *testing.T) {
	dsn := pgtest.New(t)
	var dbs [2]*DB
	for i := range dbs {
		db, err := OpenPostgres(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		dbs[i] = db
	}
	first, second := make(chan struct{}), make(chan struct{})
	ended := make(chan error, 2)
	go func() {
		ended <- dbs[0].Exclusive(t.Context(), "repair", func(ctx context.Context) error {
			close(first)
			<-ctx.Done()
			return ctx.Err()
		})
	}()
	<-first
	stop, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		ended <- dbs[1].Exclusive(stop, "repair", func(ctx context.Context) error {
			close(second)
			<-ctx.Done()
			return ctx.Err()
		})
	}()
	// Another name is free meanwhile.
	if err := dbs[1].Exclusive(t.Context(), "snapshots", func(context.Context) error { return nil }); err != nil {
		t.Fatal(err)
	}
	select {
	case <-second:
		t.Fatal("both hold the lock")
	default:
	}
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	_, err = conn.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted`)
	if err != nil {
		t.Fatal(err)
	}
	<-second
	if err := <-ended; err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("the first ended with %v, want that the lock is lost", err)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the second ended with %v", err)
	}
}

// TestSharedValuesLeaveNoTrace: they are seen by every gateway, and neither feed nor snapshots know
// of them.
func TestSharedValuesLeaveNoTrace(t *testing.T) {
	dsn := pgtest.New(t)
	one, err := OpenPostgres(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer one.Close()
	two, err := OpenPostgres(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer two.Close()
	before, err := one.Sequence(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, db := range []*DB{one, two, one} {
		err := db.UpdateShared(t.Context(), "voucher/1/2", func(old []byte) ([]byte, error) {
			if len(old) != i {
				t.Errorf("update %d found %q", i, old)
			}
			return append(old, 'x'), nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	var found []string
	if err := two.Shared(t.Context(), "voucher/", func(name string, v []byte) error {
		found = append(found, name+"="+string(v))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 || found[0] != "voucher/1/2=xxx" {
		t.Errorf("found %q", found)
	}
	if seq, err := two.Sequence(t.Context()); err != nil || seq != before {
		t.Errorf("sequence %d, %v, want %d", seq, err, before)
	}
}
