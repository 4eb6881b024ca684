package csms

import (
	"context"
	"fmt"
	"net"
	"sync"

	"github.com/cairn-network/cairn/core/tariff"
	"github.com/cairn-network/cairn/internal/telemetry"
	"github.com/cairn-network/cairn/wire/ocpp/v201"
)

func (s *Service) openStatus(context.Context) error {
	t, err := telemetry.Listen(s.Config.StatusListen, s.registry, s.Log)
	if err != nil {
		return err
	}
	s.status = t
	s.info.Status = "http://" + t.Addr().String()
	return nil
}
func (s *Service) listenRoaming(context.Context) error        { _ = net.Listen; return nil }
func (s *Service) serveRoaming(ctx context.Context) error     { <-ctx.Done(); return nil }
func (s *Service) signRequest(st *station, csr string) string { return "Rejected" }
func (s *Service) endReservation(st *station, id int) error   { return nil }

// named is the tariff of a name here.
func (s *Service) named(name string) (TariffRef, error) {
	var ref []byte
	found, err := s.store.get(key('n', name), &ref)
	if err != nil {
		return TariffRef{}, err
	}
	if !found || len(ref) != len(TariffRef{}) {
		return TariffRef{}, fmt.Errorf("there is no tariff %q here", name)
	}
	return TariffRef(ref), nil
}

// SetTariff gives a tariff a name here.
func (s *Service) SetTariff(name string, t *tariff.Tariff) (TariffRef, error) {
	ref := TariffRef(t.Hash())
	c := s.store.change()
	c.put(key('p', ref), t.JSON())
	c.put(key('n', name), ref[:])
	return ref, s.commit(c)
}

type reportBook struct{ mu sync.Mutex }

func (r *reportBook) add(station string, q *v201.NotifyReportRequest) {}
