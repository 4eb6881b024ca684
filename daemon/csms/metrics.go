package csms

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/cairn-network/cairn/wire/ocpp"
)

// metrics are what Prometheus may ask.
type metrics struct {
	calls          *prometheus.CounterVec // by action and outcome
	mended         *prometheus.CounterVec // by action
	refused        *prometheus.CounterVec // connections, by reason
	malformed      prometheus.Counter
	stray          prometheus.Counter
	evicted        prometheus.Counter
	connected      prometheus.Gauge
	boots          prometheus.Counter
	started        prometheus.Counter
	stopped        prometheus.Counter
	settled        prometheus.Counter
	refunds        prometheus.Counter
	orders         prometheus.Counter
	repeated       prometheus.Counter
	ledgerErrors   prometheus.Counter
	ledgerRefused  prometheus.Counter
	securityEvents prometheus.Counter
}

func newMetrics(s *Service) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "cairn_csms_" + name, Help: help})
	}
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "cairn_csms_" + name, Help: help}, labels)
	}
	m := &metrics{
		calls:          vec("calls_total", "Calls of stations.", "action", "outcome"),
		mended:         vec("mended_total", "Calls that deviated from the schema and were mended.", "action"),
		refused:        vec("connections_refused_total", "Connections refused.", "reason"),
		malformed:      counter("frames_malformed_total", "Frames that were none."),
		stray:          counter("answers_stray_total", "Answers to no call under way."),
		evicted:        counter("connections_evicted_total", "Connections replaced by a newer one of the same station."),
		connected:      prometheus.NewGauge(prometheus.GaugeOpts{Name: "cairn_csms_connections", Help: "Stations connected."}),
		boots:          counter("boots_total", "Boot notifications."),
		started:        counter("sessions_started_total", "Sessions started."),
		stopped:        counter("sessions_stopped_total", "Sessions stopped."),
		settled:        counter("sessions_settled_total", "Sessions that the ledger settled."),
		refunds:        counter("orders_refunded_total", "Orders refunded since nothing started."),
		orders:         counter("orders_total", "Orders taken over from the ledger."),
		repeated:       counter("messages_repeated_total", "Starts and stops that came more than once."),
		ledgerErrors:   counter("ledger_errors_total", "Questions that the ledger did not answer."),
		ledgerRefused:  counter("ledger_refused_total", "Entries that the ledger refused for good."),
		securityEvents: counter("security_events_total", "Security events that stations reported."),
	}
	s.registry.MustRegister(
		m.calls, m.mended, m.refused, m.malformed, m.stray, m.evicted, m.connected, m.boots, m.started, m.stopped, m.settled,
		m.refunds, m.orders, m.repeated, m.ledgerErrors, m.ledgerRefused, m.securityEvents,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "cairn_csms_outbox", Help: "Entries that the ledger has not answered."},
			func() float64 { return float64(s.outbox.waiting.Load()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "cairn_csms_orders_waiting", Help: "Orders that wait for their start."},
			func() float64 { return float64(s.orders.count()) }),
	)
	return m
}

// knownAction keeps a station from making labels up.
func knownAction(action string) string {
	switch action {
	case "Authorize", "BootNotification", "DataTransfer", "DiagnosticsStatusNotification", "FirmwareStatusNotification", "Heartbeat",
		"LogStatusNotification", "MeterValues", "NotifyEvent", "NotifyReport", "SecurityEventNotification", "SignCertificate",
		"SignedFirmwareStatusNotification", "StartTransaction", "StatusNotification", "StopTransaction", "TransactionEvent",
		"NotifyMonitoringReport", "ReservationStatusUpdate", "NotifyChargingLimit", "ClearedChargingLimit", "ReportChargingProfiles":
		return action
	}
	return "other"
}

func (m *metrics) call(action string, err error) {
	outcome := "ok"
	if err != nil {
		outcome = "error"
		var refusal *ocpp.Error
		if errors.As(err, &refusal) {
			outcome = "refused"
		}
	}
	m.calls.WithLabelValues(knownAction(action), outcome).Inc()
}

func (m *metrics) observer() ocpp.Observer {
	return ocpp.Observer{
		Malformed: func(*ocpp.Conn, error) { m.malformed.Inc() },
		Stray:     func(*ocpp.Conn, string) { m.stray.Inc() },
	}
}
