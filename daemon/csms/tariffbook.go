package csms

import (
	"context"
	"fmt"
	"sync"

	"github.com/cairn-network/cairn/core/tariff"
)

// tariffBook keeps tariffs by hash, read once from disk or ledger.
type tariffBook struct {
	store  *store
	ledger Ledger
	mu     sync.Mutex
	known  map[TariffRef]*tariff.Tariff
}

// maxTariffs bounds those in memory; beyond it all are forgotten and read again.
const maxTariffs = 4096

func newTariffBook(s *store, l Ledger) *tariffBook {
	return &tariffBook{store: s, ledger: l, known: make(map[TariffRef]*tariff.Tariff)}
}

// get returns the tariff of a hash, from memory, disk or the ledger.
func (b *tariffBook) get(ctx context.Context, ref TariffRef) (*tariff.Tariff, error) {
	b.mu.Lock()
	t := b.known[ref]
	b.mu.Unlock()
	if t != nil {
		return t, nil
	}
	var raw []byte
	found, err := b.store.get(key('p', ref), &raw)
	if err != nil {
		return nil, err
	}
	if found {
		parsed, err := tariff.ParseJSON(raw)
		if err != nil {
			return nil, fmt.Errorf("reading tariff %x: %w", ref, err)
		}
		t = &parsed
	} else {
		if t, err = b.ledger.Tariff(ctx, ref); err != nil {
			return nil, fmt.Errorf("asking the ledger for tariff %x: %w", ref, err)
		}
		if TariffRef(t.Hash()) != ref {
			return nil, fmt.Errorf("the ledger's tariff %x has another content", ref)
		}
		c := b.store.change()
		c.put(key('p', ref), t.JSON())
		if err := c.commit(); err != nil {
			return nil, err
		}
	}
	b.keep(ref, t)
	return t, nil
}

func (b *tariffBook) keep(ref TariffRef, t *tariff.Tariff) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.known) >= maxTariffs {
		clear(b.known)
	}
	b.known[ref] = t
}

// named is the tariff of a name here.
func (s *Service) named(name string) (TariffRef, error) {
	var raw []byte
	found, err := s.store.get(key('n', name), &raw)
	if err != nil {
		return TariffRef{}, err
	}
	if !found || len(raw) != len(TariffRef{}) {
		return TariffRef{}, fmt.Errorf("there is no tariff %q here", name)
	}
	return TariffRef(raw), nil
}

// SetTariff gives a tariff a name here, for cards and for OCPI.
func (s *Service) SetTariff(name string, t *tariff.Tariff) (TariffRef, error) {
	if name == "" || len(name) > 36 {
		return TariffRef{}, fmt.Errorf("a tariff's name of %d bytes: 1 to 36 are allowed", len(name))
	}
	if err := t.Check(); err != nil {
		return TariffRef{}, err
	}
	ref := TariffRef(t.Hash())
	c := s.store.change()
	c.put(key('p', ref), t.JSON())
	c.put(key('n', name), ref[:])
	return ref, s.commit(c)
}

// namedTariff is one with the name it has here.
type namedTariff struct {
	Name string
	Ref  TariffRef
}

// namedTariffs lists them by name.
func (s *Service) namedTariffs() ([]namedTariff, error) {
	var out []namedTariff
	err := s.store.scan(key('n'), nil, func(k, value []byte) (bool, error) {
		if len(value) != len(TariffRef{}) {
			return false, fmt.Errorf("tariff %q has a hash of %d bytes", k[1:], len(value))
		}
		out = append(out, namedTariff{string(k[1:]), TariffRef(value)})
		return true, nil
	})
	return out, err
}
