// Command fakegateway serves S3 from a directory: the whole S3 layer and the
// real metabase over an engine without a network, for interoperability tests
// of the S3 layer alone.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/cairn-network/cairn/core/seal"
	"github.com/cairn-network/cairn/daemon/s3gateway/metabase"
	"github.com/cairn-network/cairn/daemon/s3gateway/s3"
	"github.com/cairn-network/cairn/daemon/s3gateway/s3/fakenet"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:9900", "address of the S3 API")
	dir := flag.String("dir", "", "directory for everything")
	dsn := flag.String("postgres", "", "keep metadata in this PostgreSQL database instead of Pebble")
	access := flag.String("access", "cairn", "access key of the root account")
	secret := flag.String("secret", "cairnsecret", "secret key of the root account")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *dir, *dsn, s3.ServerConfig{Listen: *listen, AccessKey: *access, SecretKey: *secret}); err != nil {
		fmt.Fprintln(os.Stderr, "fakegateway:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dir, dsn string, cfg s3.ServerConfig) (err error) {
	if dir == "" {
		return fmt.Errorf("-dir is required: where to keep objects and metadata")
	}
	segments := filepath.Join(dir, "segments")
	if err := os.MkdirAll(segments, 0o700); err != nil {
		return err
	}
	db, err := open(ctx, filepath.Join(dir, "metabase"), dsn)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	root := seal.FromSeed([]byte("a seed for tests of the S3 layer"))
	backend := s3.New(s3.Deps{
		Metabase: db, Engine: fakenet.New(segments, fakenet.Volatile), Root: root,
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	defer backend.Shutdown()
	cfg.Ready = func() { fmt.Println("ready", cfg.Listen) }
	server, err := s3.NewServer(cfg, backend, s3.NewAccounts(db, root, cfg.AccessKey, cfg.SecretKey))
	if err != nil {
		return err
	}
	return server.Run(ctx)
}

func open(ctx context.Context, dir, dsn string) (*metabase.DB, error) {
	if dsn != "" {
		return metabase.OpenPostgres(ctx, dsn)
	}
	return metabase.OpenPebble(dir, metabase.PebbleOptions{})
}
