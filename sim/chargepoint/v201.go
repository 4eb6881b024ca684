package chargepoint

import (
	"context"
	"encoding/base64"

	"github.com/cairn-network/cairn/core/grid"
	"github.com/cairn-network/cairn/wire/ocpp"
	"github.com/cairn-network/cairn/wire/ocpp/v201"
)

// sendEvent queues one event of a session's life. mu is held.
func (s *Station) sendEvent(x *session, event v201.TransactionEvent, trigger v201.TriggerReason, register grid.WattHours, reason, record string, offline bool) {
	q := &v201.TransactionEventRequest{
		EventType: event, Timestamp: ocpp.TimeOf(s.now()), TriggerReason: trigger, SeqNo: x.seq,
		TransactionInfo: v201.Transaction{TransactionID: x.tx, ChargingState: v201.ChargingStateCharging, StoppedReason: v201.Reason(reason)},
		EVSE:            &v201.EVSE{ID: x.connector},
	}
	x.seq++
	if offline {
		q.Offline = &offline
	}
	context16 := v201.ReadingContextSamplePeriodic
	switch event {
	case v201.TransactionEventStarted:
		context16 = v201.ReadingContextTransactionBegin
		q.Timestamp = ocpp.TimeOf(x.started)
	case v201.TransactionEventEnded:
		context16 = v201.ReadingContextTransactionEnd
		q.TransactionInfo.ChargingState = v201.ChargingStateIdle
	}
	if event != v201.TransactionEventUpdated {
		q.IDToken = &v201.IDToken{IDToken: x.tag, Type: v201.IDTokenKindCentral}
	}
	value := v201.SampledValue{Value: ocpp.DecimalOf(int64(register), 0), Context: context16, UnitOfMeasure: &v201.UnitOfMeasure{Unit: "Wh"}}
	if record != "" {
		value.SignedMeterValue = &v201.SignedMeterValue{
			SignedMeterData: base64.StdEncoding.EncodeToString([]byte(record)), SigningMethod: s.Meter.algorithm, EncodingMethod: "OCMF", PublicKey: s.Meter.public,
		}
	}
	q.MeterValue = []v201.MeterValue{{Timestamp: ocpp.TimeOf(s.now()), SampledValue: []v201.SampledValue{value}}}
	s.enqueue(&message{action: q.Action(), call: func(ctx context.Context, c *ocpp.Conn) error {
		answer, err := ocpp.Call(ctx, c, q)
		if err != nil {
			return err
		}
		if i := answer.IDTokenInfo; i != nil && i.Status != v201.AuthorizationStatusAccepted && event == v201.TransactionEventStarted {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.deny(x)
		}
		return nil
	}})
}

func (s *Station) routes201() *ocpp.Mux[*Station] {
	m := new(ocpp.Mux[*Station])
	locked := func(f func() string) string {
		s.mu.Lock()
		defer s.mu.Unlock()
		return f()
	}
	ocpp.On(m, func(_ context.Context, _ *Station, q *v201.RequestStartTransactionRequest) (*v201.RequestStartTransactionResponse, error) {
		n := 0
		if q.EVSEID != nil {
			n = *q.EVSEID
		}
		return &v201.RequestStartTransactionResponse{Status: v201.RequestStartStopStatus(locked(func() string { return yes(s.remoteStart(n, q.IDToken.IDToken)) }))}, nil
	})
	ocpp.On(m, func(_ context.Context, _ *Station, q *v201.RequestStopTransactionRequest) (*v201.RequestStopTransactionResponse, error) {
		return &v201.RequestStopTransactionResponse{Status: v201.RequestStartStopStatus(locked(func() string {
			return yes(s.remoteStop(s.find(func(x *session) bool { return x.tx == q.TransactionID })))
		}))}, nil
	})
	ocpp.On(m, func(_ context.Context, _ *Station, q *v201.SetChargingProfileRequest) (*v201.SetChargingProfileResponse, error) {
		return &v201.SetChargingProfileResponse{Status: v201.ChargingProfileStatus(locked(func() string {
			schedules := q.ChargingProfile.ChargingSchedule
			if len(schedules) == 0 || len(schedules[0].ChargingSchedulePeriod) == 0 {
				return yes(false)
			}
			return yes(s.setLimit(q.EVSEID, schedules[0].ChargingSchedulePeriod[0].Limit))
		}))}, nil
	})
	ocpp.On(m, func(_ context.Context, _ *Station, _ *v201.ClearChargingProfileRequest) (*v201.ClearChargingProfileResponse, error) {
		s.clearLimits()
		return &v201.ClearChargingProfileResponse{Status: v201.ClearChargingProfileStatusAccepted}, nil
	})
	ocpp.On(m, func(_ context.Context, _ *Station, q *v201.ReserveNowRequest) (*v201.ReserveNowResponse, error) {
		n := 1
		if q.EVSEID != nil {
			n = *q.EVSEID
		}
		return &v201.ReserveNowResponse{Status: v201.ReserveNowStatus(locked(func() string { return s.reserve(n, q.IDToken.IDToken) }))}, nil
	})
	ocpp.On(m, func(_ context.Context, _ *Station, _ *v201.CancelReservationRequest) (*v201.CancelReservationResponse, error) {
		s.clearReservations()
		return &v201.CancelReservationResponse{Status: v201.CancelReservationStatusAccepted}, nil
	})
	ocpp.On(m, func(_ context.Context, _ *Station, q *v201.TriggerMessageRequest) (*v201.TriggerMessageResponse, error) {
		return &v201.TriggerMessageResponse{Status: v201.TriggerMessageStatus(s.trigger(string(q.RequestedMessage)))}, nil
	})
	ocpp.On(m, func(_ context.Context, _ *Station, _ *v201.ResetRequest) (*v201.ResetResponse, error) {
		s.reset()
		return &v201.ResetResponse{Status: v201.ResetStatusAccepted}, nil
	})
	ocpp.On(m, func(_ context.Context, _ *Station, _ *v201.ChangeAvailabilityRequest) (*v201.ChangeAvailabilityResponse, error) {
		return &v201.ChangeAvailabilityResponse{Status: v201.ChangeAvailabilityStatusAccepted}, nil
	})
	ocpp.On(m, func(_ context.Context, _ *Station, _ *v201.UnlockConnectorRequest) (*v201.UnlockConnectorResponse, error) {
		return &v201.UnlockConnectorResponse{Status: v201.UnlockStatusUnlocked}, nil
	})
	ocpp.On(m, func(_ context.Context, _ *Station, _ *v201.CostUpdatedRequest) (*v201.CostUpdatedResponse, error) {
		return new(v201.CostUpdatedResponse), nil
	})
	ocpp.On(m, func(_ context.Context, _ *Station, q *v201.SetVariablesRequest) (*v201.SetVariablesResponse, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		out := new(v201.SetVariablesResponse)
		for _, v := range q.SetVariableData {
			s.config[v.Component.Name+"."+v.Variable.Name] = v.AttributeValue
			out.SetVariableResult = append(out.SetVariableResult, v201.SetVariableResult{
				AttributeStatus: v201.SetVariableStatusAccepted, Component: v.Component, Variable: v.Variable,
			})
		}
		return out, nil
	})
	ocpp.On(m, func(_ context.Context, _ *Station, q *v201.GetVariablesRequest) (*v201.GetVariablesResponse, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		out := new(v201.GetVariablesResponse)
		for _, v := range q.GetVariableData {
			value, ok := s.config[v.Component.Name+"."+v.Variable.Name]
			status := v201.GetVariableStatusAccepted
			if !ok {
				status = v201.GetVariableStatusUnknownVariable
			}
			out.GetVariableResult = append(out.GetVariableResult, v201.GetVariableResult{
				AttributeStatus: status, AttributeValue: value, Component: v.Component, Variable: v.Variable,
			})
		}
		return out, nil
	})
	ocpp.On(m, func(_ context.Context, _ *Station, q *v201.GetBaseReportRequest) (*v201.GetBaseReportResponse, error) {
		s.report(q.RequestID)
		return &v201.GetBaseReportResponse{Status: v201.GenericDeviceModelStatusAccepted}, nil
	})
	ocpp.On(m, func(_ context.Context, _ *Station, _ *v201.GetLocalListVersionRequest) (*v201.GetLocalListVersionResponse, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return &v201.GetLocalListVersionResponse{VersionNumber: s.listVer}, nil
	})
	ocpp.On(m, func(_ context.Context, _ *Station, q *v201.SendLocalListRequest) (*v201.SendLocalListResponse, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.listVer = q.VersionNumber
		return &v201.SendLocalListResponse{Status: v201.SendLocalListStatusAccepted}, nil
	})
	ocpp.On(m, func(_ context.Context, _ *Station, _ *v201.UpdateFirmwareRequest) (*v201.UpdateFirmwareResponse, error) {
		s.install()
		return &v201.UpdateFirmwareResponse{Status: v201.UpdateFirmwareStatusAccepted}, nil
	})
	ocpp.On(m, func(_ context.Context, _ *Station, _ *v201.GetLogRequest) (*v201.GetLogResponse, error) {
		s.upload()
		return &v201.GetLogResponse{Status: v201.LogStatusAccepted, Filename: s.ID + ".log"}, nil
	})
	ocpp.On(m, func(_ context.Context, _ *Station, _ *v201.CertificateSignedRequest) (*v201.CertificateSignedResponse, error) {
		return &v201.CertificateSignedResponse{Status: v201.CertificateSignedStatusAccepted}, nil
	})
	ocpp.On(m, func(_ context.Context, _ *Station, _ *v201.DataTransferRequest) (*v201.DataTransferResponse, error) {
		return &v201.DataTransferResponse{Status: v201.DataTransferStatusUnknownVendorID}, nil
	})
	return m
}

// report sends the base report in two parts, as a real one comes in many.
func (s *Station) report(request int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var data []v201.ReportData
	for _, name := range []string{"Model", "VendorName", "SupplyPhases"} {
		data = append(data, v201.ReportData{
			Component: v201.Component{Name: "ChargingStation"}, Variable: v201.Variable{Name: name},
			VariableAttribute: []v201.VariableAttribute{{Value: "simulated"}},
		})
	}
	for i, part := range [][]v201.ReportData{data[:2], data[2:]} {
		more := i == 0
		q := &v201.NotifyReportRequest{RequestID: request, GeneratedAt: ocpp.TimeOf(s.now()), SeqNo: i, Tbc: &more, ReportData: part}
		s.enqueueOnce(&message{action: q.Action(), call: func(ctx context.Context, c *ocpp.Conn) error {
			_, err := ocpp.Call(ctx, c, q)
			return err
		}})
	}
}
