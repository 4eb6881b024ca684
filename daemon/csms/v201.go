package csms

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/cairn-network/cairn/core/grid"
	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/core/tariff"
	"github.com/cairn-network/cairn/wire/ocpp"
	"github.com/cairn-network/cairn/wire/ocpp/v201"
)

func (s *Service) routes201() *ocpp.Mux[*station] {
	m := &ocpp.Mux[*station]{Mended: s.mended}
	ocpp.On(m, s.boot201)
	ocpp.On(m, func(_ context.Context, _ *station, _ *v201.HeartbeatRequest) (*v201.HeartbeatResponse, error) {
		return &v201.HeartbeatResponse{CurrentTime: s.now()}, nil
	})
	ocpp.On(m, s.status201)
	ocpp.On(m, s.authorize201)
	ocpp.On(m, s.transaction201)
	ocpp.On(m, s.values201)
	ocpp.On(m, func(_ context.Context, st *station, q *v201.DataTransferRequest) (*v201.DataTransferResponse, error) {
		return &v201.DataTransferResponse{Status: v201.DataTransferStatus(s.vendorData(st, q.VendorID, q.MessageID, string(q.Data)))}, nil
	})
	ocpp.On(m, func(_ context.Context, st *station, q *v201.FirmwareStatusNotificationRequest) (*v201.FirmwareStatusNotificationResponse, error) {
		return new(v201.FirmwareStatusNotificationResponse), s.reported(st, func(b *bootRecord) { b.FirmwareStatus = string(q.Status) })
	})
	ocpp.On(m, func(_ context.Context, st *station, q *v201.LogStatusNotificationRequest) (*v201.LogStatusNotificationResponse, error) {
		return new(v201.LogStatusNotificationResponse), s.reported(st, func(b *bootRecord) { b.LogStatus = string(q.Status) })
	})
	ocpp.On(m, func(_ context.Context, st *station, q *v201.SecurityEventNotificationRequest) (*v201.SecurityEventNotificationResponse, error) {
		s.securityEvent(st, q.Type, q.TechInfo)
		return new(v201.SecurityEventNotificationResponse), nil
	})
	ocpp.On(m, func(_ context.Context, st *station, q *v201.SignCertificateRequest) (*v201.SignCertificateResponse, error) {
		return &v201.SignCertificateResponse{Status: v201.GenericStatus(s.signRequest(st, q.CSR))}, nil
	})
	ocpp.On(m, func(_ context.Context, st *station, q *v201.NotifyEventRequest) (*v201.NotifyEventResponse, error) {
		for _, e := range q.EventData {
			s.Log.Debug("event", "station", st.ID, "component", clipped(e.Component.Name), "variable", clipped(e.Variable.Name), "value", clipped(e.ActualValue))
		}
		return new(v201.NotifyEventResponse), nil
	})
	ocpp.On(m, func(_ context.Context, st *station, q *v201.NotifyReportRequest) (*v201.NotifyReportResponse, error) {
		s.reports.add(st.ID, q)
		return new(v201.NotifyReportResponse), nil
	})
	ocpp.On(m, func(_ context.Context, _ *station, _ *v201.NotifyMonitoringReportRequest) (*v201.NotifyMonitoringReportResponse, error) {
		return new(v201.NotifyMonitoringReportResponse), nil
	})
	ocpp.On(m, func(_ context.Context, st *station, q *v201.ReservationStatusUpdateRequest) (*v201.ReservationStatusUpdateResponse, error) {
		return new(v201.ReservationStatusUpdateResponse), s.endReservation(st, q.ReservationID)
	})
	ocpp.On(m, func(_ context.Context, _ *station, _ *v201.NotifyChargingLimitRequest) (*v201.NotifyChargingLimitResponse, error) {
		return new(v201.NotifyChargingLimitResponse), nil
	})
	ocpp.On(m, func(_ context.Context, _ *station, _ *v201.ClearedChargingLimitRequest) (*v201.ClearedChargingLimitResponse, error) {
		return new(v201.ClearedChargingLimitResponse), nil
	})
	ocpp.On(m, func(_ context.Context, _ *station, _ *v201.ReportChargingProfilesRequest) (*v201.ReportChargingProfilesResponse, error) {
		return new(v201.ReportChargingProfilesResponse), nil
	})
	ocpp.On(m, func(_ context.Context, _ *station, _ *v201.NotifyEVChargingNeedsRequest) (*v201.NotifyEVChargingNeedsResponse, error) {
		return &v201.NotifyEVChargingNeedsResponse{Status: v201.NotifyEVChargingNeedsStatusRejected}, nil
	})
	return m
}

func (s *Service) boot201(_ context.Context, st *station, q *v201.BootNotificationRequest) (*v201.BootNotificationResponse, error) {
	err := s.booted(st, func(b *bootRecord) {
		d := &q.ChargingStation
		b.Vendor, b.Model, b.Firmware, b.Serial = clipped(d.VendorName), clipped(d.Model), clipped(d.FirmwareVersion), clipped(d.SerialNumber)
	})
	if err != nil {
		return nil, err
	}
	return &v201.BootNotificationResponse{
		Status: v201.RegistrationStatusAccepted, CurrentTime: s.now(), Interval: int(s.Config.HeartbeatInterval.Seconds()),
	}, nil
}

func (s *Service) status201(_ context.Context, st *station, q *v201.StatusNotificationRequest) (*v201.StatusNotificationResponse, error) {
	phase := tariff.State(0)
	if q.ConnectorStatus == v201.ConnectorStatusFaulted {
		phase = tariff.SuspendedByStation
	}
	free := q.ConnectorStatus == v201.ConnectorStatusAvailable
	return new(v201.StatusNotificationResponse), s.statusChanged(st, q.EVSEID, string(q.ConnectorStatus), "", q.Timestamp, phase, free)
}

func (s *Service) authorize201(ctx context.Context, st *station, q *v201.AuthorizeRequest) (*v201.AuthorizeResponse, error) {
	tag, err := tag201(&q.IDToken)
	if err != nil {
		return nil, err
	}
	return &v201.AuthorizeResponse{IDTokenInfo: tokenInfo(s.permitted(ctx, st, 0, tag).verdict)}, nil
}

func tokenInfo(v verdict) v201.IDTokenInfo {
	return v201.IDTokenInfo{Status: v201.AuthorizationStatus(v)}
}

// tag201 is what a token of 2.0.1 is called here; tokens longer than a tag of 1.6 stand for themselves up to the
// standard's 36 characters.
func tag201(t *v201.IDToken) (Tag, error) {
	if t.Type == v201.IDTokenKindNoAuthorization {
		return "", nil
	}
	if t.IDToken == "" || len(t.IDToken) > 36 {
		return "", ocpp.Refuse(ocpp.PropertyConstraint, "idToken of %d characters: 1 to 36 are allowed", len(t.IDToken))
	}
	return Tag(t.IDToken), nil
}

// phases201 are charging states (section 2.25 of part 2's enumerations).
var phases201 = map[v201.ChargingState]tariff.State{
	v201.ChargingStateCharging:      tariff.Charging,
	v201.ChargingStateSuspendedEV:   tariff.SuspendedByCar,
	v201.ChargingStateSuspendedEVSE: tariff.SuspendedByStation,
	v201.ChargingStateEVConnected:   tariff.SuspendedByStation, // plugged in, nothing flows yet
	v201.ChargingStateIdle:          tariff.Idle,
}

// txKey makes a start of 2.0.1 idempotent. A station that gives an old id to a new session has another time.
func txKey(station, tx string, at ocpp.Time) Key {
	return Key(sha256.Sum256(fmt.Appendf(nil, "start 2.0.1\x00%s\x00%s\x00%d", station, tx, at.UnixMilli())))
}

// transaction201 is a session's whole life: Started, Updated, Ended.
func (s *Service) transaction201(ctx context.Context, st *station, q *v201.TransactionEventRequest) (*v201.TransactionEventResponse, error) {
	tx := q.TransactionInfo.TransactionID
	if tx == "" || len(tx) > 36 {
		return nil, ocpp.Refuse(ocpp.PropertyConstraint, "transactionInfo.transactionId of %d characters: 1 to 36 are allowed", len(tx))
	}
	var tag Tag
	if q.IDToken != nil {
		var err error
		if tag, err = tag201(q.IDToken); err != nil {
			return nil, err
		}
	}
	evse := 0
	if q.EVSE != nil {
		evse = q.EVSE.ID
	}
	p := permit{verdict: invalid}
	if tag != "" && q.EventType == v201.TransactionEventStarted {
		p = s.permitted(ctx, st, evse, tag)
	}
	samples := samples201(q.MeterValue)
	st.mu.Lock()
	defer st.mu.Unlock()
	x, err := s.session201(st, tx)
	if err != nil {
		return nil, err
	}
	out := new(v201.TransactionEventResponse)
	says := accepted
	switch q.EventType {
	case v201.TransactionEventStarted:
		e := startEvent{
			key: txKey(st.ID, tx, q.Timestamp), connector: evse, tag: tag, at: q.Timestamp, version: ocpp.V201, stationTx: tx,
			offline: q.Offline != nil && *q.Offline, state: phases201[q.TransactionInfo.ChargingState],
		}
		for _, m := range samples {
			if m.register != noRegister {
				e.register, e.known = m.register, true
				break
			}
		}
		reused := x != nil && x.Key != e.key
		if x, says, err = s.start(ctx, st, p, e); err != nil {
			return nil, err
		}
		if reused {
			x.remark(IDReused)
		}
	default:
		if x == nil { // its start is lost
			if x, err = s.orphan(ctx, st, p, tx, ocpp.V201, tag, evse, q.Timestamp); err != nil {
				return nil, err
			}
		}
		if tag != "" && x.Tag == "" && x.State.Open() { // authorised after plugging in
			if says, err = s.claim(ctx, st, x, tag); err != nil {
				return nil, err
			}
		}
	}
	if q.EventType == v201.TransactionEventEnded {
		c := s.store.change()
		e := stopEvent{at: q.Timestamp, register: noRegister, tag: tag, reason: string(q.TransactionInfo.StoppedReason)}
		if n := len(samples); n > 0 {
			e.register = samples[n-1].register
			e.samples = samples
		}
		s.stop(st, c, x, e)
		s.finish(ctx, st, c, x)
		if err := s.commit(c); err != nil {
			return nil, err
		}
		s.outbox.wake()
	} else {
		if phase := phases201[q.TransactionInfo.ChargingState]; phase != 0 {
			samples = append(samples, sample{at: q.Timestamp, register: noRegister, state: phase})
		}
		if err := s.valued(ctx, st, x, samples); err != nil {
			return nil, err
		}
	}
	if q.IDToken != nil {
		info := tokenInfo(says)
		out.IDTokenInfo = &info
	}
	if !x.Cost.IsZero() {
		cost := decimalCost(x.Cost)
		out.TotalCost = &cost
	}
	return out, nil
}

// decimalCost is a cost in whole units with four decimals, for the station's display.
func decimalCost(a price.Amount) ocpp.Decimal {
	const shown = 4
	n, _ := a.MulDiv(1, 100_000_000_000_000) // 10^(18-4)
	return ocpp.DecimalOf(int64(min(n.Lo, 1<<62)), shown)
}

// claim gives a session that began without a tag to who presents one now. st.mu is held, and given up while the ledger is
// asked.
func (s *Service) claim(ctx context.Context, st *station, x *Session, tag Tag) (verdict, error) {
	st.mu.Unlock()
	p := s.permitted(ctx, st, x.Connector, tag)
	st.mu.Lock()
	if x.Tag != "" || !x.State.Open() || p.verdict != accepted {
		return p.verdict, nil
	}
	c := s.store.change()
	x.Tag = tag
	s.payer(c, st, x, p)
	c.session(x)
	if err := s.commit(c); err != nil {
		return "", err
	}
	if p.order != nil {
		s.orders.bound(p.order.ID)
	}
	s.outbox.wake()
	return accepted, nil
}

// session201 finds a session by the station's own id, the last that had it. st.mu is held.
func (s *Service) session201(st *station, tx string) (*Session, error) {
	if x := st.newest(func(x *Session) bool { return x.StationTx == tx }); x != nil {
		return x, nil
	}
	return s.store.sessionByKey(key('x', st.ID, byte(0), tx))
}

func (s *Service) values201(ctx context.Context, st *station, q *v201.MeterValuesRequest) (*v201.MeterValuesResponse, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	x := st.at(q.EVSEID)
	if x == nil {
		return new(v201.MeterValuesResponse), nil
	}
	return new(v201.MeterValuesResponse), s.valued(ctx, st, x, samples201(q.MeterValue))
}

// samples201 reads what a tariff needs of meter values: the register of energy drawn, and signed records.
func samples201(values []v201.MeterValue) []sample {
	out := make([]sample, 0, len(values))
	for _, v := range values {
		m := sample{at: v.Timestamp, register: noRegister}
		for i := range v.SampledValue {
			r := &v.SampledValue[i]
			if r.SignedMeterValue != nil {
				if packed, err := json.Marshal(r.SignedMeterValue); err == nil {
					m.signed = append(m.signed, string(packed))
				}
			}
			if cmp.Or(r.Measurand, v201.MeasurandEnergyActiveImportRegister) != v201.MeasurandEnergyActiveImportRegister || r.Phase != "" ||
				cmp.Or(r.Location, v201.LocationOutlet) != v201.LocationOutlet {
				continue
			}
			decimals := 0
			if u := r.UnitOfMeasure; u != nil {
				if strings.EqualFold(u.Unit, "kWh") {
					decimals = 3
				}
				if u.Multiplier != nil {
					decimals += *u.Multiplier
				}
			}
			n, err := int64(0), error(nil)
			if decimals < -6 || decimals > 9 {
				err = ocpp.ErrNumber
			} else {
				n, err = r.Value.Scaled(decimals)
			}
			if err != nil || n < 0 {
				m.broken = true
				continue
			}
			m.register = grid.WattHours(n)
		}
		out = append(out, m)
	}
	return out
}
