package csms

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/cairn-network/cairn/wire/ocpp"
	"github.com/cairn-network/cairn/wire/ocpp/v16"
	"github.com/cairn-network/cairn/wire/ocpp/v201"
)

// ErrNoSuchStation and ErrNoSuchAction name what is not there.
var (
	ErrNoSuchStation = errors.New("no such station")
	ErrNoSuchAction  = errors.New("no such action of a central system in this edition")
	ErrPayload       = errors.New("payload breaks the schema")
)

// action is one that a central system calls.
type action interface{ Action() string }

// What an owner may ask a station directly. Starting and stopping go by the ledger and by Stop.
var (
	actions16 = byName(
		func() action { return new(v16.ChangeAvailability) }, func() action { return new(v16.ChangeConfiguration) },
		func() action { return new(v16.ClearCache) }, func() action { return new(v16.ClearChargingProfile) },
		func() action { return new(v16.DataTransfer) }, func() action { return new(v16.DeleteCertificate) },
		func() action { return new(v16.ExtendedTriggerMessage) }, func() action { return new(v16.GetCompositeSchedule) },
		func() action { return new(v16.GetConfiguration) }, func() action { return new(v16.GetDiagnostics) },
		func() action { return new(v16.GetInstalledCertificateIds) }, func() action { return new(v16.GetLocalListVersion) },
		func() action { return new(v16.GetLog) }, func() action { return new(v16.InstallCertificate) },
		func() action { return new(v16.Reset) }, func() action { return new(v16.SendLocalList) },
		func() action { return new(v16.SetChargingProfile) }, func() action { return new(v16.SignedUpdateFirmware) },
		func() action { return new(v16.TriggerMessage) }, func() action { return new(v16.UnlockConnector) },
		func() action { return new(v16.UpdateFirmware) },
	)
	actions201 = byName(
		func() action { return new(v201.ChangeAvailabilityRequest) }, func() action { return new(v201.ClearCacheRequest) },
		func() action { return new(v201.ClearChargingProfileRequest) }, func() action { return new(v201.ClearDisplayMessageRequest) },
		func() action { return new(v201.ClearVariableMonitoringRequest) }, func() action { return new(v201.CostUpdatedRequest) },
		func() action { return new(v201.CustomerInformationRequest) }, func() action { return new(v201.DataTransferRequest) },
		func() action { return new(v201.DeleteCertificateRequest) }, func() action { return new(v201.GetBaseReportRequest) },
		func() action { return new(v201.GetChargingProfilesRequest) }, func() action { return new(v201.GetCompositeScheduleRequest) },
		func() action { return new(v201.GetDisplayMessagesRequest) }, func() action { return new(v201.GetInstalledCertificateIdsRequest) },
		func() action { return new(v201.GetLocalListVersionRequest) }, func() action { return new(v201.GetLogRequest) },
		func() action { return new(v201.GetMonitoringReportRequest) }, func() action { return new(v201.GetReportRequest) },
		func() action { return new(v201.GetTransactionStatusRequest) }, func() action { return new(v201.GetVariablesRequest) },
		func() action { return new(v201.InstallCertificateRequest) }, func() action { return new(v201.PublishFirmwareRequest) },
		func() action { return new(v201.ResetRequest) }, func() action { return new(v201.SendLocalListRequest) },
		func() action { return new(v201.SetChargingProfileRequest) }, func() action { return new(v201.SetDisplayMessageRequest) },
		func() action { return new(v201.SetMonitoringBaseRequest) }, func() action { return new(v201.SetMonitoringLevelRequest) },
		func() action { return new(v201.SetNetworkProfileRequest) }, func() action { return new(v201.SetVariableMonitoringRequest) },
		func() action { return new(v201.SetVariablesRequest) }, func() action { return new(v201.TriggerMessageRequest) },
		func() action { return new(v201.UnlockConnectorRequest) }, func() action { return new(v201.UnpublishFirmwareRequest) },
		func() action { return new(v201.UpdateFirmwareRequest) },
	)
)

func byName(all ...func() action) map[string]func() action {
	out := make(map[string]func() action, len(all))
	for _, f := range all {
		out[f().Action()] = f
	}
	return out
}

// Call asks a station something in its own edition's words and returns its answer. The payload is held to the schema.
func (s *Service) Call(ctx context.Context, id, name string, payload json.RawMessage) (json.RawMessage, error) {
	st := s.station(id)
	if st == nil {
		return nil, fmt.Errorf("calling %s of %q: %w", name, id, ErrNoSuchStation)
	}
	c, err := st.online()
	if err != nil {
		return nil, err
	}
	known := actions16
	if c.Version == ocpp.V201 {
		known = actions201
	}
	make, ok := known[name]
	if !ok {
		return nil, fmt.Errorf("%s with a station of %s: %w", name, c.Version, ErrNoSuchAction)
	}
	request := make()
	how, err := ocpp.Decode(payload, request)
	if err == nil {
		how = slices.DeleteFunc(how, func(d ocpp.Deviation) bool { return d.Field == "payload" }) // absent is empty
		if len(how) > 0 {
			err = errors.New(how[0].String())
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", name, ErrPayload, err)
	}
	body, err := json.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", name, ErrPayload, err)
	}
	ctx, cancel := context.WithTimeout(ctx, s.Config.CallTimeout)
	defer cancel()
	return c.Invoke(ctx, name, body)
}

// Stop tells a station to end a session.
func (s *Service) Stop(ctx context.Context, no SessionNo) error {
	x, err := s.store.session(no)
	if err != nil {
		return err
	}
	if x == nil || !x.State.Open() {
		return fmt.Errorf("session %d is not open", no)
	}
	st := s.station(x.Station)
	if st == nil {
		return fmt.Errorf("session %d: %w", no, ErrNoSuchStation)
	}
	ctx, cancel := context.WithTimeout(ctx, s.Config.CallTimeout)
	defer cancel()
	return s.remoteStop(ctx, st, no, x.Version, x.StationTx)
}
