package csms

import (
	"cmp"
	"context"
	"encoding/json"
	"strconv"

	"github.com/cairn-network/cairn/core/grid"
	"github.com/cairn-network/cairn/core/tariff"
	"github.com/cairn-network/cairn/wire/ocpp"
	"github.com/cairn-network/cairn/wire/ocpp/v16"
)

// handler answers stations' calls.
type handler Service

// ServeOCPP handles one call under the station's lock.
func (h *handler) ServeOCPP(ctx context.Context, c *ocpp.Conn, action string, payload json.RawMessage) (any, error) {
	s := (*Service)(h)
	st := s.station(c.Peer)
	if st == nil {
		return nil, ocpp.Refuse(ocpp.SecurityError, "station %s is not registered any more", c.Peer)
	}
	s.processed.Add(1)
	mux := s.v16mux
	if c.Version == ocpp.V201 {
		mux = s.v201mux
	}
	answer, err := mux.Serve(ctx, st, action, payload)
	s.metrics.call(action, err)
	if err != nil {
		s.Log.Debug("refusing a call", "station", st.ID, "action", action, "reason", err)
	}
	return answer, err
}

// now is the time as stations are told it.
func (s *Service) now() ocpp.Time { return ocpp.TimeOf(s.Clock.Now()) }

func (s *Service) routes16() *ocpp.Mux[*station] {
	m := &ocpp.Mux[*station]{Mended: s.mended}
	ocpp.On(m, s.boot16)
	ocpp.On(m, func(_ context.Context, _ *station, _ *v16.Heartbeat) (*v16.HeartbeatResponse, error) {
		return &v16.HeartbeatResponse{CurrentTime: s.now()}, nil
	})
	ocpp.On(m, s.status16)
	ocpp.On(m, s.authorize16)
	ocpp.On(m, s.start16)
	ocpp.On(m, s.values16)
	ocpp.On(m, s.stop16)
	ocpp.On(m, func(_ context.Context, st *station, q *v16.DataTransfer) (*v16.DataTransferResponse, error) {
		return &v16.DataTransferResponse{Status: v16.DataTransferStatus(s.vendorData(st, q.VendorID, q.MessageID, q.Data))}, nil
	})
	ocpp.On(m, func(_ context.Context, st *station, q *v16.FirmwareStatusNotification) (*v16.FirmwareStatusNotificationResponse, error) {
		return new(v16.FirmwareStatusNotificationResponse), s.reported(st, func(b *bootRecord) { b.FirmwareStatus = string(q.Status) })
	})
	ocpp.On(m, func(_ context.Context, st *station, q *v16.SignedFirmwareStatusNotification) (*v16.SignedFirmwareStatusNotificationResponse, error) {
		return new(v16.SignedFirmwareStatusNotificationResponse), s.reported(st, func(b *bootRecord) { b.FirmwareStatus = string(q.Status) })
	})
	ocpp.On(m, func(_ context.Context, st *station, q *v16.DiagnosticsStatusNotification) (*v16.DiagnosticsStatusNotificationResponse, error) {
		return new(v16.DiagnosticsStatusNotificationResponse), s.reported(st, func(b *bootRecord) { b.LogStatus = string(q.Status) })
	})
	ocpp.On(m, func(_ context.Context, st *station, q *v16.LogStatusNotification) (*v16.LogStatusNotificationResponse, error) {
		return new(v16.LogStatusNotificationResponse), s.reported(st, func(b *bootRecord) { b.LogStatus = string(q.Status) })
	})
	ocpp.On(m, func(_ context.Context, st *station, q *v16.SecurityEventNotification) (*v16.SecurityEventNotificationResponse, error) {
		s.securityEvent(st, q.Type, q.TechInfo)
		return new(v16.SecurityEventNotificationResponse), nil
	})
	ocpp.On(m, func(_ context.Context, st *station, q *v16.SignCertificate) (*v16.SignCertificateResponse, error) {
		return &v16.SignCertificateResponse{Status: v16.GenericStatus(s.signRequest(st, q.CSR))}, nil
	})
	return m
}

func (s *Service) boot16(_ context.Context, st *station, q *v16.BootNotification) (*v16.BootNotificationResponse, error) {
	err := s.booted(st, func(b *bootRecord) {
		b.Vendor, b.Model, b.Firmware = clipped(q.ChargePointVendor), clipped(q.ChargePointModel), clipped(q.FirmwareVersion)
		b.Serial, b.Meter = clipped(cmp.Or(q.ChargePointSerialNumber, q.ChargeBoxSerialNumber)), clipped(q.MeterSerialNumber)
	})
	if err != nil {
		return nil, err
	}
	return &v16.BootNotificationResponse{
		Status: v16.RegistrationStatusAccepted, CurrentTime: s.now(), Interval: int(s.Config.HeartbeatInterval.Seconds()),
	}, nil
}

// phases of 1.6: what a status says of the car at a connector (section 4.9).
var phases16 = map[v16.ChargePointStatus]tariff.State{
	v16.ChargePointStatusCharging:      tariff.Charging,
	v16.ChargePointStatusSuspendedEV:   tariff.SuspendedByCar,
	v16.ChargePointStatusSuspendedEVSE: tariff.SuspendedByStation,
	v16.ChargePointStatusFinishing:     tariff.Idle,
	v16.ChargePointStatusFaulted:       tariff.SuspendedByStation,
	v16.ChargePointStatusUnavailable:   tariff.SuspendedByStation,
}

func (s *Service) status16(_ context.Context, st *station, q *v16.StatusNotification) (*v16.StatusNotificationResponse, error) {
	at := ocpp.Time{}
	if q.Timestamp != nil {
		at = *q.Timestamp
	}
	fault := string(q.ErrorCode)
	if q.ErrorCode == v16.ChargePointErrorCodeNoError {
		fault = ""
	}
	free := q.Status == v16.ChargePointStatusAvailable
	return new(v16.StatusNotificationResponse), s.statusChanged(st, q.ConnectorID, string(q.Status), fault, at, phases16[q.Status], free)
}

func (s *Service) authorize16(ctx context.Context, st *station, q *v16.Authorize) (*v16.AuthorizeResponse, error) {
	return &v16.AuthorizeResponse{IDTagInfo: tagInfo(s.permitted(ctx, st, 0, Tag(q.IDTag)).verdict)}, nil
}

func tagInfo(v verdict) v16.IDTagInfo { return v16.IDTagInfo{Status: v16.AuthorizationStatus(v)} }

func (s *Service) start16(ctx context.Context, st *station, q *v16.StartTransaction) (*v16.StartTransactionResponse, error) {
	tag := Tag(q.IDTag)
	p := s.permitted(ctx, st, q.ConnectorID, tag)
	st.mu.Lock()
	defer st.mu.Unlock()
	x, says, err := s.start(ctx, st, p, startEvent{
		key:       startKey(st.ID, q.ConnectorID, q.Timestamp.Time, int64(q.MeterStart), tag),
		connector: q.ConnectorID, tag: tag, at: q.Timestamp, register: grid.WattHours(q.MeterStart), known: true,
		version: ocpp.V16, state: phases16[v16.ChargePointStatus(st.boot.Connectors[q.ConnectorID].Status)],
	})
	if err != nil {
		return nil, err
	}
	if q.ReservationID != nil {
		if err := s.endReservation(st, *q.ReservationID); err != nil {
			return nil, err
		}
	}
	return &v16.StartTransactionResponse{TransactionID: int(x.No), IDTagInfo: tagInfo(says)}, nil
}

func (s *Service) values16(ctx context.Context, st *station, q *v16.MeterValues) (*v16.MeterValuesResponse, error) {
	samples := samples16(q.MeterValue)
	st.mu.Lock()
	defer st.mu.Unlock()
	x, err := s.session16(st, q.TransactionID, func(x *Session) bool { return x.State.Open() && x.Connector == q.ConnectorID })
	if err != nil {
		return nil, err
	}
	if x == nil { // clock-aligned values between sessions, or of a session that is long over
		return new(v16.MeterValuesResponse), nil
	}
	return new(v16.MeterValuesResponse), s.valued(ctx, st, x, samples)
}

// valued takes readings of a session, makes them durable and looks at the driver's limits. st.mu is held.
func (s *Service) valued(ctx context.Context, st *station, x *Session, samples []sample) error {
	c := s.store.change()
	now := s.Clock.Now().UTC()
	if x.State.Open() {
		s.sampled(st, c, x, samples, now)
		s.enforce(ctx, st, c, x, now)
	} else {
		s.sampledLate(st, c, x, samples, now)
	}
	return s.commit(c)
}

// session16 finds the session that a message of 1.6 is about: by our id, of this station only; by match where the station
// had no id to give, since it started without a connection (seen: none, 0 and -1). st.mu is held.
func (s *Service) session16(st *station, id *int, match func(*Session) bool) (*Session, error) {
	if id == nil || *id <= 0 {
		return st.newest(match), nil
	}
	no := SessionNo(*id)
	if int(no) != *id {
		return nil, nil
	}
	if x := st.open[no]; x != nil {
		return x, nil
	}
	x, err := s.store.session(no)
	if err != nil || x == nil || x.Station != st.ID {
		return nil, err
	}
	return x, nil
}

func (s *Service) stop16(ctx context.Context, st *station, q *v16.StopTransaction) (*v16.StopTransactionResponse, error) {
	e := stopEvent{at: q.Timestamp, register: grid.WattHours(q.MeterStop), tag: Tag(q.IDTag), reason: string(q.Reason), samples: samples16(q.TransactionData)}
	if e.register < 0 {
		e.register = noRegister
	}
	p := permit{verdict: invalid}
	if e.tag != "" {
		p = s.permitted(ctx, st, 0, e.tag)
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	x, err := s.session16(st, &q.TransactionID, func(x *Session) bool {
		return x.State.Open() && (e.tag == "" || x.Tag.fold() == e.tag.fold()) && !x.Started.After(x.when(e.at, s.Clock.Now().UTC()))
	})
	if err != nil {
		return nil, err
	}
	if x == nil {
		if x, err = s.orphan(ctx, st, p, strconv.Itoa(q.TransactionID), ocpp.V16, e.tag, 0, e.at); err != nil {
			return nil, err
		}
	}
	c := s.store.change()
	s.stop(st, c, x, e)
	s.finish(ctx, st, c, x)
	if err := s.commit(c); err != nil {
		return nil, err
	}
	s.outbox.wake()
	out := new(v16.StopTransactionResponse)
	if e.tag != "" {
		info := tagInfo(accepted) // whoever stops is let go (section 4.10)
		out.IDTagInfo = &info
	}
	return out, nil
}

// samples16 reads what a tariff needs of meter values: the register of energy drawn, and signed records.
func samples16(values []v16.MeterValue) []sample {
	out := make([]sample, 0, len(values))
	for _, v := range values {
		m := sample{at: v.Timestamp, register: noRegister}
		for i := range v.SampledValue {
			r := &v.SampledValue[i]
			switch {
			case r.Format == v16.ValueFormatSignedData:
				m.signed = append(m.signed, r.Value)
			case r.Measurand != "" && r.Measurand != v16.MeasurandEnergyActiveImportRegister, r.Phase != "",
				r.Location != "" && r.Location != v16.LocationOutlet:
			default:
				decimals := 0
				if r.Unit == v16.UnitOfMeasureKWh {
					decimals = 3
				}
				n, err := ocpp.Decimal(r.Value).Scaled(decimals)
				if err != nil || n < 0 {
					m.broken = true
					continue
				}
				m.register = grid.WattHours(n)
			}
		}
		out = append(out, m)
	}
	return out
}
