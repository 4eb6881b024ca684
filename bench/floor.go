package main

import (
	"context"
	"crypto/ed25519"
	"crypto/md5"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cairn-network/cairn/core/erasure"
	"github.com/cairn-network/cairn/core/piece"
	"github.com/cairn-network/cairn/core/seal"
	"github.com/cairn-network/cairn/daemon/storagenode/store"
	"github.com/cairn-network/cairn/internal/tlsid"
)

// floorSize is how many bytes each part of the floor is measured with.
const floorSize = 256 << 20

// measureFloor does by itself, as plainly as possible, each thing that a put at 8/14/20 cannot do
// without, as many times as it must be done, and gives the CPU time for each GB of the object. It is
// taken beside the put, on the same machine under the same neighbours, because a CPU-second is worth
// half as much on a crowded machine: the ratio is what can be compared.
func measureFloor(ctx context.Context, dir string) (table, float64, error) {
	class, _ := erasure.ClassByName("small-net")
	sent := float64(class.Optimal) / float64(class.K)
	coded := float64(class.Total) / float64(class.K)
	parts := []struct {
		what  string
		times float64 // bytes treated for each byte of the object
		f     func() error
	}{
		{"MD5, one stream", 1, floorMD5},
		{"HTTP body over loopback, both ends", 1, func() error { return floorSocket(ctx, nil, nil) }},
		{"AES-256-GCM of the object", 1, floorSeal},
		{"Reed-Solomon, 8 to 24", 1, func() error { return floorCode(class) }},
		{"BLAKE3 of what was coded", coded, floorHash},
		{"TLS 1.3 over loopback, both ends", sent, func() error { return floorTLS(ctx) }},
		{"BLAKE3 of what was received", sent, floorHash},
		{"log, checksummed, eight share syncs", sent, func() error { return floorStore(dir) }},
	}
	t := table{Title: "floor of a put: each part by itself, now"}
	sum := 0.0
	for _, p := range parts {
		before := cpu()
		if err := p.f(); err != nil {
			return t, 0, fmt.Errorf("measuring the floor, %s: %w", p.what, err)
		}
		each := (cpu() - before).Seconds() / (floorSize / 1e9) * p.times
		sum += each
		t.Rows = append(t.Rows, row{What: p.what, Value: each, Unit: "CPU-s/GB", Note: fmt.Sprintf("%.1f times", p.times)})
	}
	t.Rows = append(t.Rows, row{What: "together", Value: sum, Unit: "CPU-s/GB"})
	return t, sum, nil
}

func floorMD5() error {
	h, b := md5.New(), noise(64<<10)
	for range floorSize / len(b) {
		_, _ = h.Write(b) // never fails
	}
	return nil
}

func floorHash() error {
	b := noise(piece.MaxSize)
	for range floorSize / len(b) {
		piece.RootOf(b)
	}
	return nil
}

func floorSeal() error {
	key, err := seal.NewDataKey(rand.Reader, seal.AES256GCM)
	if err != nil {
		return err
	}
	sealer, err := key.Segment([16]byte{}, 0).Sealer()
	if err != nil {
		return err
	}
	plain, dst := noise(seal.Room(1)), make([]byte, 0, seal.RecordSize)
	for i := range floorSize / seal.RecordSize {
		if _, err := sealer.SealRecord(dst, 1+i, seal.Inner, plain); err != nil {
			return err
		}
	}
	return nil
}

func floorCode(class erasure.Class) error {
	codec, err := erasure.NewCodec(class)
	if err != nil {
		return err
	}
	shares := make([][]byte, class.Total)
	for i := range shares {
		shares[i] = noise(erasure.ShareSize)
	}
	for range floorSize / (class.K * erasure.ShareSize) {
		if err := codec.EncodeStripe(shares); err != nil {
			return err
		}
	}
	return nil
}

// floorSocket sends bytes over a loopback connection, through TLS where configurations are given.
func floorSocket(ctx context.Context, client, server *tls.Config) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		if server != nil {
			c = tls.Server(c, server)
		}
		defer c.Close()
		b := make([]byte, 64<<10)
		for {
			if _, err := c.Read(b); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
		}
	})
	group.Go(func() error {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", l.Addr().String())
		if err != nil {
			return err
		}
		if client != nil {
			c = tls.Client(c, client)
		}
		defer c.Close()
		b := noise(64 << 10)
		for range floorSize / len(b) {
			if _, err := c.Write(b); err != nil {
				return err
			}
		}
		return nil
	})
	return group.Wait()
}

func floorTLS(ctx context.Context) error {
	const protocol = "floor"
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return err
	}
	server, err := tlsid.ServerConfig(key, protocol)
	if err != nil {
		return err
	}
	client, err := tlsid.ClientConfig(key, public, protocol)
	if err != nil {
		return err
	}
	server.DynamicRecordSizingDisabled, client.DynamicRecordSizingDisabled = true, true
	return floorSocket(ctx, client, server)
}

func floorStore(dir string) error {
	dir, err := os.MkdirTemp(dir, "floor")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s, err := store.OpenStore(store.Config{Dir: dir, MinFree: 1, Now: time.Now})
	if err != nil {
		return err
	}
	data := noise(piece.MaxSize)
	root := piece.RootOf(data)
	var group errgroup.Group
	group.SetLimit(8) // that share syncs, as the pieces of several segments do
	for i := range floorSize / len(data) {
		group.Go(func() error {
			w, err := s.Create(store.Key{Lease: 1, ID: piece.ID{byte(i), byte(i >> 8), 1}}, store.CreateOptions{Size: uint32(len(data))})
			if err != nil {
				return err
			}
			defer w.Abort()
			if _, err := w.Write(data); err != nil {
				return err
			}
			_, err = w.Commit(root)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return s.Close()
}
