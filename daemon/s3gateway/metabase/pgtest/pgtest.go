// Package pgtest gives tests empty databases on a PostgreSQL server of their own, from Debian's
// packages, in a temporary directory, reachable through a Unix socket only, run by an unprivileged
// user.
package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"sort"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

type server struct {
	dir  string // socket directory
	stop *exec.Cmd
}

var (
	once    sync.Once
	shared  *server
	failure error

	mu   sync.Mutex
	next int // number of the next database; guarded by mu
)

// errAbsent says that the binaries are absent, the one reason to skip.
type errAbsent struct{}

func (errAbsent) Error() string {
	return "no PostgreSQL server binaries under /usr/lib/postgresql (apt-get install postgresql)"
}

// New returns the address of a fresh, empty database. It skips the test where no server is installed.
// The package's TestMain calls Stop.
func New(t testing.TB) string {
	t.Helper()
	once.Do(func() { shared, failure = start() })
	if errors.As(failure, &errAbsent{}) {
		t.Skip(failure)
	}
	if failure != nil {
		t.Fatal(failure)
	}
	mu.Lock()
	next++
	name := fmt.Sprintf("meta%d", next)
	mu.Unlock()
	conn, err := pgx.Connect(context.Background(), shared.dsn("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(context.Background(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	return shared.dsn(name)
}

func (s *server) dsn(database string) string {
	return fmt.Sprintf("host=%s port=5432 user=cairn dbname=%s", s.dir, database)
}

// unprivileged is what the server runs as: PostgreSQL refuses to run as root.
func unprivileged() (*syscall.SysProcAttr, int, int, error) {
	if os.Geteuid() != 0 {
		return &syscall.SysProcAttr{}, os.Geteuid(), os.Getegid(), nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return nil, 0, 0, err
		}
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return nil, 0, 0, err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return nil, 0, 0, err
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, uid, gid, nil
}

func start() (*server, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return nil, errAbsent{}
	}
	sort.Strings(found)
	bin := filepath.Dir(found[len(found)-1])
	attr, uid, gid, err := unprivileged()
	if err != nil {
		return nil, err
	}
	// Not t.TempDir: its parents may be closed to other users, and a socket's
	// path must be short.
	dir, err := os.MkdirTemp("/tmp", "cairnpg")
	if err != nil {
		return nil, err
	}
	if err := os.Chown(dir, uid, gid); err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	run := func(name string, args ...string) error {
		cmd := exec.Command(filepath.Join(bin, name), args...)
		cmd.SysProcAttr, cmd.Dir, cmd.Env = attr, dir, []string{"PATH=/usr/bin:/bin", "LC_ALL=C"}
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", name, err, out)
		}
		return nil
	}
	if err := run("initdb", "-D", data, "-U", "cairn", "-A", "trust", "-E", "UTF8", "--no-sync"); err != nil {
		return nil, err
	}
	opts := fmt.Sprintf("-c listen_addresses='' -c unix_socket_directories=%s -c max_connections=200", dir)
	if err := run("pg_ctl", "-D", data, "-w", "-l", filepath.Join(dir, "log"), "-o", opts, "start"); err != nil {
		log, _ := os.ReadFile(filepath.Join(dir, "log"))
		return nil, fmt.Errorf("%w\n%s", err, log)
	}
	stop := exec.Command(filepath.Join(bin, "pg_ctl"), "-D", data, "-m", "immediate", "stop")
	stop.SysProcAttr, stop.Dir = attr, dir
	return &server{dir: dir, stop: stop}, nil
}

// Stop ends the server, if one was started, and removes what it kept.
func Stop() error {
	if shared == nil {
		return nil
	}
	out, err := shared.stop.CombinedOutput()
	if err != nil && !bytes.Contains(out, []byte("no server running")) {
		return fmt.Errorf("stopping PostgreSQL: %w\n%s", err, out)
	}
	return os.RemoveAll(shared.dir)
}
