package chargepoint

import (
	"context"
	"encoding/json"
	"strconv"

	"github.com/cairn-network/cairn/core/grid"
	"github.com/cairn-network/cairn/wire/ocpp"
	"github.com/cairn-network/cairn/wire/ocpp/v16"
	"github.com/cairn-network/cairn/wire/ocpp/v201"
)

// handler answers the central system.
type handler Station

// ServeOCPP answers one call.
func (h *handler) ServeOCPP(ctx context.Context, c *ocpp.Conn, action string, payload json.RawMessage) (any, error) {
	s := (*Station)(h)
	s.mu.Lock()
	s.asked = append(s.asked, action)
	if len(s.asked) > 1000 {
		s.asked = s.asked[500:]
	}
	deaf := s.faults.Deaf
	s.mu.Unlock()
	if deaf {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if c.Version == ocpp.V201 {
		return s.mux201.Serve(ctx, s, action, payload)
	}
	return s.mux16.Serve(ctx, s, action, payload)
}

func yes(ok bool) string {
	if ok {
		return "Accepted"
	}
	return "Rejected"
}

func (s *Station) boot(ctx context.Context, c *ocpp.Conn) error {
	if c.Version == ocpp.V201 {
		_, err := ocpp.Call(ctx, c, &v201.BootNotificationRequest{
			Reason:          v201.BootReasonPowerUp,
			ChargingStation: v201.ChargingStation{Model: "simulated", VendorName: "Cairn", SerialNumber: "1", FirmwareVersion: "1.0"},
		})
		return err
	}
	_, err := ocpp.Call(ctx, c, &v16.BootNotification{ChargePointVendor: "Cairn", ChargePointModel: "simulated", FirmwareVersion: "1.0"})
	return err
}

func (s *Station) authorize(ctx context.Context, c *ocpp.Conn, tag string) (bool, error) {
	if c.Version == ocpp.V201 {
		answer, err := ocpp.Call(ctx, c, &v201.AuthorizeRequest{IDToken: v201.IDToken{IDToken: tag, Type: v201.IDTokenKindISO14443}})
		return err == nil && answer.IDTokenInfo.Status == v201.AuthorizationStatusAccepted, err
	}
	answer, err := ocpp.Call(ctx, c, &v16.Authorize{IDTag: tag})
	return err == nil && answer.IDTagInfo.Status == v16.AuthorizationStatusAccepted, err
}

// Heartbeat says that the station lives.
func (s *Station) Heartbeat(ctx context.Context) error {
	c := s.connection()
	if c == nil {
		return ocpp.ErrClosed
	}
	if c.Version == ocpp.V201 {
		_, err := ocpp.Call(ctx, c, new(v201.HeartbeatRequest))
		return err
	}
	_, err := ocpp.Call(ctx, c, new(v16.Heartbeat))
	return err
}

// statuses201 are connector states of 2.0.1 by those of 1.6.
var statuses201 = map[string]v201.ConnectorStatus{
	"Available": v201.ConnectorStatusAvailable, "Faulted": v201.ConnectorStatusFaulted, "Reserved": v201.ConnectorStatusReserved,
	"Unavailable": v201.ConnectorStatusUnavailable,
}

// sendStatus tells a connector's state, behind what is queued. mu is held.
func (s *Station) sendStatus(c *connector) {
	if s.conn == nil {
		return
	}
	at, status, id := ocpp.TimeOf(s.now()), c.status, c.id
	s.enqueueOnce(&message{action: "StatusNotification", call: func(ctx context.Context, conn *ocpp.Conn) error {
		if conn.Version == ocpp.V201 {
			state, ok := statuses201[status]
			if !ok {
				state = v201.ConnectorStatusOccupied
			}
			_, err := ocpp.Call(ctx, conn, &v201.StatusNotificationRequest{Timestamp: at, ConnectorStatus: state, EVSEID: id, ConnectorID: 1})
			return err
		}
		_, err := ocpp.Call(ctx, conn, &v16.StatusNotification{
			ConnectorID: id, ErrorCode: v16.ChargePointErrorCodeNoError, Status: v16.ChargePointStatus(status), Timestamp: &at,
		})
		return err
	}})
}

// enqueueOnce adds a message that no fault doubles. mu is held.
func (s *Station) enqueueOnce(m *message) {
	duplicate := s.faults.Duplicate
	s.faults.Duplicate = false
	s.enqueue(m)
	s.faults.Duplicate = duplicate
}

func wh(e grid.WattHours) string { return strconv.FormatInt(int64(e), 10) }

// sendStart queues a session's start. mu is held.
func (s *Station) sendStart(c *connector, x *session) {
	if s.Version == ocpp.V201 {
		s.sendEvent(x, v201.TransactionEventStarted, v201.TriggerReasonAuthorized, x.begin, "", "", s.conn == nil)
		return
	}
	q := &v16.StartTransaction{ConnectorID: c.id, IDTag: x.tag, MeterStart: int(x.begin), Timestamp: ocpp.TimeOf(x.started)}
	s.enqueue(&message{action: q.Action(), call: func(ctx context.Context, conn *ocpp.Conn) error {
		answer, err := ocpp.Call(ctx, conn, q)
		if err != nil {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		x.id = answer.TransactionID
		if answer.IDTagInfo.Status != v16.AuthorizationStatusAccepted {
			s.deny(x)
		}
		close(s.changed)
		s.changed = make(chan struct{})
		return nil
	}})
}

// deny stops energy for a card that is refused after the fact. mu is held.
func (s *Station) deny(x *session) {
	x.denied = true
	if c := s.find(func(y *session) bool { return x == y }); c != nil {
		if err := s.end(c, "DeAuthorized"); err != nil {
			s.Log.Error("ending", "station", s.ID, "error", err)
		}
	}
}

// idOf is the transaction id that a message of a session carries when it is sent.
func (s *Station) idOf(x *session, offline int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if offline != 0 {
		return offline
	}
	return x.id
}

// sendValues queues the register. mu is held.
func (s *Station) sendValues(c *connector, x *session) {
	register := s.registerOf(c)
	if s.Version == ocpp.V201 {
		s.sendEvent(x, v201.TransactionEventUpdated, v201.TriggerReasonMeterValuePeriodic, register, "", "", s.conn == nil)
		return
	}
	at, offline := ocpp.TimeOf(s.now()), s.offlineID(x)
	s.enqueue(&message{action: "MeterValues", call: func(ctx context.Context, conn *ocpp.Conn) error {
		id := s.idOf(x, offline)
		_, err := ocpp.Call(ctx, conn, &v16.MeterValues{ConnectorID: x.connector, TransactionID: &id, MeterValue: []v16.MeterValue{{
			Timestamp: at, SampledValue: []v16.SampledValue{{Value: wh(register), Context: v16.ReadingContextSamplePeriodic, Unit: v16.UnitOfMeasureWh}},
		}}})
		return err
	}})
}

// offlineID is what a faulty station calls a session whose start was not answered. mu is held.
func (s *Station) offlineID(x *session) int {
	if x.id == 0 {
		return s.faults.OfflineID
	}
	return 0
}

// sendStop queues a session's end. mu is held.
func (s *Station) sendStop(_ *connector, x *session, register grid.WattHours, reason, record string) {
	if s.Version == ocpp.V201 {
		trigger := v201.TriggerReasonStopAuthorized
		switch reason {
		case "Remote":
			trigger = v201.TriggerReasonRemoteStop
		case "EVDisconnected":
			trigger = v201.TriggerReasonEVDeparted
		case "DeAuthorized":
			trigger = v201.TriggerReasonDeauthorized
		}
		s.sendEvent(x, v201.TransactionEventEnded, trigger, register, reason, record, s.conn == nil)
		return
	}
	at, offline := ocpp.TimeOf(s.now()), s.offlineID(x)
	data := []v16.SampledValue{{Value: wh(register), Context: v16.ReadingContextTransactionEnd, Unit: v16.UnitOfMeasureWh}}
	if record != "" {
		data = append(data, v16.SampledValue{Value: record, Context: v16.ReadingContextTransactionEnd, Format: v16.ValueFormatSignedData})
	}
	s.enqueue(&message{action: "StopTransaction", call: func(ctx context.Context, conn *ocpp.Conn) error {
		_, err := ocpp.Call(ctx, conn, &v16.StopTransaction{
			IDTag: x.tag, MeterStop: int(register), Timestamp: at, TransactionID: s.idOf(x, offline), Reason: v16.Reason(reason),
			TransactionData: []v16.MeterValue{{Timestamp: at, SampledValue: data}},
		})
		return err
	}})
}

func (s *Station) routes16() *ocpp.Mux[*Station] {
	m := new(ocpp.Mux[*Station])
	type status = string
	locked := func(f func() status) status {
		s.mu.Lock()
		defer s.mu.Unlock()
		return f()
	}
	ocpp.On(m, func(_ context.Context, _ *Station, q *v16.RemoteStartTransaction) (*v16.RemoteStartTransactionResponse, error) {
		n := 0
		if q.ConnectorID != nil {
			n = *q.ConnectorID
		}
		return &v16.RemoteStartTransactionResponse{Status: v16.RemoteStartStopStatus(locked(func() status { return yes(s.remoteStart(n, q.IDTag)) }))}, nil
	})
	ocpp.On(m, func(_ context.Context, _ *Station, q *v16.RemoteStopTransaction) (*v16.RemoteStopTransactionResponse, error) {
		return &v16.RemoteStopTransactionResponse{Status: v16.RemoteStartStopStatus(locked(func() status {
			return yes(s.remoteStop(s.find(func(x *session) bool { return x.id == q.TransactionID })))
		}))}, nil
	})
	ocpp.On(m, func(_ context.Context, _ *Station, q *v16.SetChargingProfile) (*v16.SetChargingProfileResponse, error) {
		p := q.CsChargingProfiles.ChargingSchedule.ChargingSchedulePeriod
		return &v16.SetChargingProfileResponse{Status: v16.SetChargingProfileStatus(locked(func() status {
			if len(p) == 0 {
				return yes(false)
			}
			return yes(s.setLimit(q.ConnectorID, p[0].Limit))
		}))}, nil
	})
	ocpp.On(m, func(_ context.Context, _ *Station, _ *v16.ClearChargingProfile) (*v16.ClearChargingProfileResponse, error) {
		s.clearLimits()
		return &v16.ClearChargingProfileResponse{Status: v16.ClearChargingProfileStatusAccepted}, nil
	})
	ocpp.On(m, func(_ context.Context, _ *Station, q *v16.ReserveNow) (*v16.ReserveNowResponse, error) {
		return &v16.ReserveNowResponse{Status: v16.ReserveNowStatus(locked(func() status { return s.reserve(q.ConnectorID, q.IDTag) }))}, nil
	})
	ocpp.On(m, func(_ context.Context, _ *Station, _ *v16.CancelReservation) (*v16.CancelReservationResponse, error) {
		s.clearReservations()
		return &v16.CancelReservationResponse{Status: v16.CancelReservationStatusAccepted}, nil
	})
	ocpp.On(m, func(_ context.Context, _ *Station, q *v16.TriggerMessage) (*v16.TriggerMessageResponse, error) {
		return &v16.TriggerMessageResponse{Status: v16.TriggerMessageStatus(s.trigger(string(q.RequestedMessage)))}, nil
	})
	ocpp.On(m, func(_ context.Context, _ *Station, q *v16.ExtendedTriggerMessage) (*v16.ExtendedTriggerMessageResponse, error) {
		return &v16.ExtendedTriggerMessageResponse{Status: v16.TriggerMessageStatus(s.trigger(string(q.RequestedMessage)))}, nil
	})
	ocpp.On(m, func(_ context.Context, _ *Station, _ *v16.Reset) (*v16.ResetResponse, error) {
		s.reset()
		return &v16.ResetResponse{Status: v16.ResetStatusAccepted}, nil
	})
	ocpp.On(m, func(_ context.Context, _ *Station, _ *v16.ChangeAvailability) (*v16.ChangeAvailabilityResponse, error) {
		return &v16.ChangeAvailabilityResponse{Status: v16.ChangeAvailabilityStatusAccepted}, nil
	})
	ocpp.On(m, func(_ context.Context, _ *Station, _ *v16.UnlockConnector) (*v16.UnlockConnectorResponse, error) {
		return &v16.UnlockConnectorResponse{Status: v16.UnlockConnectorStatusUnlocked}, nil
	})
	ocpp.On(m, func(_ context.Context, _ *Station, q *v16.ChangeConfiguration) (*v16.ChangeConfigurationResponse, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.config[q.Key] = q.Value
		return &v16.ChangeConfigurationResponse{Status: v16.ChangeConfigurationStatusAccepted}, nil
	})
	ocpp.On(m, func(_ context.Context, _ *Station, q *v16.GetConfiguration) (*v16.GetConfigurationResponse, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		out := new(v16.GetConfigurationResponse)
		for k, v := range s.config {
			out.ConfigurationKey = append(out.ConfigurationKey, v16.KeyValue{Key: k, Value: v})
		}
		for _, k := range q.Key {
			if _, ok := s.config[k]; !ok {
				out.UnknownKey = append(out.UnknownKey, k)
			}
		}
		return out, nil
	})
	ocpp.On(m, func(_ context.Context, _ *Station, _ *v16.GetLocalListVersion) (*v16.GetLocalListVersionResponse, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return &v16.GetLocalListVersionResponse{ListVersion: s.listVer}, nil
	})
	ocpp.On(m, func(_ context.Context, _ *Station, q *v16.SendLocalList) (*v16.SendLocalListResponse, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.listVer = q.ListVersion
		return &v16.SendLocalListResponse{Status: v16.SendLocalListStatusAccepted}, nil
	})
	ocpp.On(m, func(_ context.Context, _ *Station, _ *v16.ClearCache) (*v16.ClearCacheResponse, error) {
		return &v16.ClearCacheResponse{Status: v16.ClearCacheStatusAccepted}, nil
	})
	ocpp.On(m, func(_ context.Context, _ *Station, q *v16.UpdateFirmware) (*v16.UpdateFirmwareResponse, error) {
		s.install()
		return new(v16.UpdateFirmwareResponse), nil
	})
	ocpp.On(m, func(_ context.Context, _ *Station, _ *v16.SignedUpdateFirmware) (*v16.SignedUpdateFirmwareResponse, error) {
		s.install()
		return &v16.SignedUpdateFirmwareResponse{Status: v16.UpdateFirmwareStatusAccepted}, nil
	})
	ocpp.On(m, func(_ context.Context, _ *Station, _ *v16.GetDiagnostics) (*v16.GetDiagnosticsResponse, error) {
		s.upload()
		return &v16.GetDiagnosticsResponse{FileName: s.ID + ".log"}, nil
	})
	ocpp.On(m, func(_ context.Context, _ *Station, _ *v16.GetLog) (*v16.GetLogResponse, error) {
		s.upload()
		return &v16.GetLogResponse{Status: v16.LogStatusAccepted, Filename: s.ID + ".log"}, nil
	})
	ocpp.On(m, func(_ context.Context, _ *Station, _ *v16.CertificateSigned) (*v16.CertificateSignedResponse, error) {
		return &v16.CertificateSignedResponse{Status: v16.CertificateSignedStatusAccepted}, nil
	})
	ocpp.On(m, func(_ context.Context, _ *Station, _ *v16.DataTransfer) (*v16.DataTransferResponse, error) {
		return &v16.DataTransferResponse{Status: v16.DataTransferStatusUnknownVendorID}, nil
	})
	ocpp.On(m, func(_ context.Context, _ *Station, q *v16.GetCompositeSchedule) (*v16.GetCompositeScheduleResponse, error) {
		return &v16.GetCompositeScheduleResponse{Status: v16.GetCompositeScheduleStatusRejected}, nil
	})
	return m
}

// setLimit takes a charging profile's limit in watts for a connector, 0 for all. mu is held.
func (s *Station) setLimit(n int, limit ocpp.Decimal) bool {
	w, err := limit.Scaled(0)
	if err != nil || w < 0 || n > len(s.connectors) {
		return false
	}
	for _, c := range s.connectors {
		if n == 0 || c.id == n {
			c.limit = grid.Watts(w)
		}
	}
	close(s.changed)
	s.changed = make(chan struct{})
	return true
}

// AwaitLimit waits until a connector was given a limit.
func (s *Station) AwaitLimit(ctx context.Context, n int, limit grid.Watts) error {
	for {
		s.mu.Lock()
		now, changed := s.connectors[n-1].limit, s.changed
		s.mu.Unlock()
		if now == limit {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *Station) clearLimits() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.connectors {
		c.limit = 0
	}
}

// reserve keeps a connector for a tag. mu is held.
func (s *Station) reserve(n int, tag string) string {
	if n < 1 || n > len(s.connectors) {
		return "Rejected"
	}
	if c := s.connectors[n-1]; c.session == nil && c.reserved == "" {
		c.reserved = tag
		return "Accepted"
	}
	return "Occupied"
}

func (s *Station) clearReservations() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.connectors {
		c.reserved = ""
	}
}

// trigger sends what was asked for.
func (s *Station) trigger(what string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch what {
	case "StatusNotification":
		for _, c := range s.connectors {
			s.sendStatus(c)
		}
	case "MeterValues":
		for _, c := range s.connectors {
			if c.session != nil {
				s.sendValues(c, c.session)
			}
		}
	case "Heartbeat", "BootNotification":
	default:
		return "NotImplemented"
	}
	return "Accepted"
}

// reset cuts the connection soon, as a reboot does.
func (s *Station) reset() {
	s.work.Go(func() { s.Drop() })
}

// install reports a firmware update's course.
func (s *Station) install() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, state := range []string{"Downloading", "Downloaded", "Installing", "Installed"} {
		s.enqueueOnce(&message{action: "FirmwareStatusNotification", call: func(ctx context.Context, c *ocpp.Conn) error {
			if c.Version == ocpp.V201 {
				_, err := ocpp.Call(ctx, c, &v201.FirmwareStatusNotificationRequest{Status: v201.FirmwareStatus(state)})
				return err
			}
			_, err := ocpp.Call(ctx, c, &v16.FirmwareStatusNotification{Status: v16.FirmwareStatus(state)})
			return err
		}})
	}
}

// upload reports a log's upload.
func (s *Station) upload() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, state := range []string{"Uploading", "Uploaded"} {
		s.enqueueOnce(&message{action: "LogStatusNotification", call: func(ctx context.Context, c *ocpp.Conn) error {
			if c.Version == ocpp.V201 {
				_, err := ocpp.Call(ctx, c, &v201.LogStatusNotificationRequest{Status: v201.UploadLogStatus(state)})
				return err
			}
			_, err := ocpp.Call(ctx, c, &v16.DiagnosticsStatusNotification{Status: v16.DiagnosticsStatus(state)})
			return err
		}})
	}
}
