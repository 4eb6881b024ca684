package metabase

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
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// pgServer is a PostgreSQL server of the test run's own, from Debian's
// packages, in a temporary directory, reachable through a Unix socket only.
type pgServer struct {
	dir string // socket directory
	cmd *exec.Cmd
}

var (
	pgOnce   sync.Once
	pgShared *pgServer
	pgErr    error
	pgNext   int
	pgMu     sync.Mutex
)

// errNoPostgres says that the binaries are absent, the one reason to skip.
type errNoPostgres struct{}

func (errNoPostgres) Error() string {
	return "no PostgreSQL server binaries under /usr/lib/postgresql (apt-get install postgresql)"
}

// postgresDSN returns the address of a fresh, empty database.
func postgresDSN(t testing.TB) string {
	t.Helper()
	pgOnce.Do(func() { pgShared, pgErr = startPostgres() })
	if errors.As(pgErr, &errNoPostgres{}) {
		t.Skip(pgErr)
	}
	if pgErr != nil {
		t.Fatal(pgErr)
	}
	pgMu.Lock()
	pgNext++
	name := fmt.Sprintf("meta%d", pgNext)
	pgMu.Unlock()
	conn, err := pgx.Connect(context.Background(), pgShared.dsn("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(context.Background(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	return pgShared.dsn(name)
}

func (s *pgServer) dsn(database string) string {
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

func startPostgres() (*pgServer, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return nil, errNoPostgres{}
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
	return &pgServer{dir: dir, cmd: stop}, nil
}

func TestMain(m *testing.M) {
	code := m.Run()
	if pgShared != nil {
		if out, err := pgShared.cmd.CombinedOutput(); err != nil && !bytes.Contains(out, []byte("no server running")) {
			fmt.Fprintf(os.Stderr, "stopping PostgreSQL: %v\n%s", err, out)
			code = 1
		}
		if strings.HasPrefix(pgShared.dir, "/tmp/cairnpg") {
			os.RemoveAll(pgShared.dir)
		}
	}
	os.Exit(code)
}
