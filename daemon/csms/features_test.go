package csms_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cairn-network/cairn/core/grid"
	"github.com/cairn-network/cairn/daemon/csms"
	"github.com/cairn-network/cairn/sim/chargepoint"
	"github.com/cairn-network/cairn/wire/ocpp"
)

// authority makes a CA, or a certificate signed by one.
func certificate(t *testing.T, name string, parent *tls.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: ago(time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		KeyUsage: x509.KeyUsageDigitalSignature,
	}
	signer, by := any(key), template
	if parent == nil {
		template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	} else {
		by, err = x509.ParseCertificate(parent.Certificate[0])
		require.NoError(t, err)
		signer = parent.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by, &key.PublicKey, signer)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func pool(t *testing.T, c tls.Certificate) *x509.CertPool {
	t.Helper()
	parsed, err := x509.ParseCertificate(c.Certificate[0])
	require.NoError(t, err)
	p := x509.NewCertPool()
	p.AddCert(parsed)
	return p
}

func TestSecurityProfiles(t *testing.T) {
	ca, stranger := certificate(t, "stations", nil), certificate(t, "stranger", nil)
	server := certificate(t, "127.0.0.1", &ca)
	b := newBench(t, func(c *csms.Config) { c.TLS, c.ClientCAs, c.StationCA = &server, pool(t, ca), &ca })
	password, hash := csms.NewPassword()
	connectors := []csms.Connector{{ID: 1}}
	require.NoError(t, b.service.Register(csms.Station{ID: "CP-2", Profile: csms.TLSBasicAuth, Password: hash, Connectors: connectors}))
	require.NoError(t, b.service.Register(csms.Station{ID: "CP-3", Profile: csms.TLSCertificate, Connectors: connectors}))
	dial := func(station, password string, client *tls.Certificate) (*ocpp.Conn, error) {
		config := &tls.Config{RootCAs: pool(t, ca)}
		if client != nil {
			config.Certificates = []tls.Certificate{*client}
		}
		return ocpp.Dial(b.wait(), ocpp.DialConfig{URL: b.info.URL, Station: station, Password: password, TLS: config, Versions: []ocpp.Version{ocpp.V16}})
	}
	right, wrong, foreign := certificate(t, "CP-3", &ca), certificate(t, "CP-9", &ca), certificate(t, "CP-3", &stranger)
	for _, c := range []struct {
		station, password string
		client            *tls.Certificate
		ok                bool
	}{
		{"CP-2", password, nil, true},
		{"CP-2", "0123456789abcdef", nil, false},
		{"CP-2", "", nil, false},
		{"CP-3", "", &right, true},
		{"CP-3", "", &wrong, false},
		{"CP-3", "", &foreign, false},
		{"CP-3", password, nil, false},
	} {
		conn, err := dial(c.station, c.password, c.client)
		require.Equal(t, c.ok, err == nil, "%+v: %v", c, err)
		if conn != nil {
			conn.Close(1000, "")
		}
	}

	// A station asks for its certificate, and gets one for its own name only.
	r := &raw{b: b, id: "CP-2", dial: ocpp.DialConfig{Station: "CP-2", Password: password, TLS: &tls.Config{RootCAs: pool(t, ca)}, Versions: []ocpp.Version{ocpp.V16}}}
	r.connect()
	for name, want := range map[string]string{"CP-2": "Accepted", "CP-3": "Rejected"} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}}, key)
		require.NoError(t, err)
		csr := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
		require.Equal(t, want, r.call("SignCertificate", `{"csr":%q}`, csr)["status"])
	}
	require.Equal(t, "Rejected", r.call("SignCertificate", `{"csr":"nonsense"}`)["status"])
}

func TestAPasswordInTheClearIsNotTakenWhereTLSIsAsked(t *testing.T) {
	b := newBench(t, nil)
	password, hash := csms.NewPassword()
	require.NoError(t, b.service.Register(csms.Station{ID: "CP-1", Profile: csms.TLSBasicAuth, Password: hash, Connectors: []csms.Connector{{ID: 1}}}))
	_, err := ocpp.Dial(b.wait(), ocpp.DialConfig{URL: b.info.URL, Station: "CP-1", Password: password, Versions: []ocpp.Version{ocpp.V16}})
	var refused *ocpp.RefusedError
	require.True(t, errors.As(err, &refused))
}

func TestAGroupSharesItsLimit(t *testing.T) {
	versions(t, func(t *testing.T, v ocpp.Version) {
		b := newBench(t, nil)
		require.NoError(t, b.service.SetGroup(csms.Group{Name: "garage", Limit: 20_000}))
		var stations []*chargepoint.Station
		for i, power := range []grid.Watts{4_000, 22_000, 22_000} {
			s := b.station(fmt.Sprintf("CP-%d", i), v, func(r *csms.Station, _ *chargepoint.Config) { r.Group, r.Connectors[0].Power = "garage", power })
			s.Plug(1, &chargepoint.Car{Capacity: 80_000, Power: 22_000})
			b.order(r(i), cairn(100), 0)
			require.NoError(t, s.AwaitStatus(b.wait(), 1, "Charging"))
			stations = append(stations, s)
		}
		for i, want := range []grid.Watts{4_000, 8_000, 8_000} {
			require.NoError(t, stations[i].AwaitLimit(b.wait(), 1, want), "station %d has %d W", i, stations[i].Limit(1))
		}
		require.NoError(t, stations[1].Unplug(1))
		require.NoError(t, stations[2].AwaitLimit(b.wait(), 1, 16_000))
	})
}

func r(i int) string { return fmt.Sprintf("CP-%d", i) }

func TestReservations(t *testing.T) {
	versions(t, func(t *testing.T, v ocpp.Version) {
		b := newBench(t, nil)
		b.station("CP-1", v, nil)
		kept, err := b.service.Reserve(b.wait(), "CP-1", 1, "ALICE", time.Now().Add(time.Hour))
		require.NoError(t, err)
		_, err = b.service.Reserve(b.wait(), "CP-1", 1, "BOB", time.Now().Add(time.Hour))
		var rejected *csms.RejectedError
		require.ErrorAs(t, err, &rejected)
		all, err := b.service.Reservations()
		require.NoError(t, err)
		require.Equal(t, []csms.Reservation{kept}, all)
		require.NoError(t, b.service.CancelReservation(b.wait(), kept.ID))
		_, err = b.service.Reserve(b.wait(), "CP-1", 1, "BOB", time.Now().Add(time.Hour))
		require.NoError(t, err)
		for _, until := range []time.Time{ago(time.Minute), time.Now().Add(48 * time.Hour)} {
			_, err = b.service.Reserve(b.wait(), "CP-1", 1, "BOB", until)
			require.Error(t, err)
		}
	})
}

// api asks the owner's API.
func (b *bench) api(method, path, body string, authorised bool) (int, string) {
	b.t.Helper()
	q, err := http.NewRequestWithContext(b.wait(), method, b.info.Status+path, bytes.NewReader([]byte(body)))
	require.NoError(b.t, err)
	if authorised {
		token, err := os.ReadFile(filepath.Join(b.config.Path, "admin.token"))
		require.NoError(b.t, err)
		q.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	response, err := http.DefaultClient.Do(q)
	require.NoError(b.t, err)
	defer response.Body.Close()
	out, err := io.ReadAll(response.Body)
	require.NoError(b.t, err)
	return response.StatusCode, string(out)
}

func TestTheOwnersAPI(t *testing.T) {
	b := newBench(t, nil)
	status, _ := b.api("PUT", "/stations/CP-1", `{"profile":1,"connectors":[{"id":1,"power":11000}]}`, false)
	require.Equal(t, http.StatusUnauthorized, status)
	status, out := b.api("PUT", "/stations/CP-1", `{"profile":1,"connectors":[{"id":1,"power":11000}]}`, true)
	require.Equal(t, http.StatusOK, status, out)
	var made map[string]string
	require.NoError(t, json.Unmarshal([]byte(out), &made))
	require.Len(t, made["password"], 40)
	for path, payload := range map[string]string{
		"/stations/CP-1":   `{"profile":7,"connectors":[{"id":1}]}`,
		"/stations/CP-2":   `{"profile":1,"connectors":[]}`,
		"/stations/CP-3":   `{"profile":1,"plain_password":"short","connectors":[{"id":1}]}`,
		"/stations/CP%2F4": `{"profile":0,"connectors":[{"id":1}]}`,
		"/stations/CP-5":   `{"profile":0,"connectors":[{"id":2}]}`,
		"/stations/CP-6":   `{"profile":0,"connectors":[{"id":1}],"meters":[{"serial":"x","key":"nonsense"}]}`,
		"/stations/CP-7":   `{"surprise":1}`,
		"/tariffs/t":       `{"elements":[]}`,
		"/groups/g":        `{"limit":-1}`,
	} {
		status, out := b.api("PUT", path, payload, true)
		require.Equal(t, http.StatusBadRequest, status, "%s %s", path, out)
		require.Contains(t, out, "error")
	}
	versions(t, func(t *testing.T, v ocpp.Version) {
		id := "CP-" + string(v)
		s := b.station(id, v, nil)
		call := func(action, payload string) (int, string) {
			return b.api("POST", "/stations/"+id+"/call/"+action, payload, true)
		}
		want := map[string]string{"TriggerMessage": `{"requestedMessage":"StatusNotification"}`, "ClearChargingProfile": `{}`}
		if v == ocpp.V16 {
			want["ChangeConfiguration"], want["GetConfiguration"] = `{"key":"HeartbeatInterval","value":"60"}`, ``
			want["GetDiagnostics"], want["UpdateFirmware"] = `{"location":"ftp://x"}`, `{"location":"https://x","retrieveDate":"2026-11-22T00:00:00Z"}`
		} else {
			want["GetBaseReport"] = `{"requestId":5,"reportBase":"FullInventory"}`
			want["SetVariables"] = `{"setVariableData":[{"attributeValue":"60","component":{"name":"OCPPCommCtrlr"},"variable":{"name":"HeartbeatInterval"}}]}`
			want["GetLog"] = `{"logType":"DiagnosticsLog","requestId":1,"log":{"remoteLocation":"https://x"}}`
			want["UpdateFirmware"] = `{"requestId":1,"firmware":{"location":"https://x","retrieveDateTime":"2026-11-22T00:00:00Z"}}`
		}
		for action, payload := range want {
			status, out := call(action, payload)
			require.Equal(t, http.StatusOK, status, "%s: %s", action, out)
		}
		require.NoError(t, s.AwaitEmpty(b.wait()))
		b.until("reports", func() bool {
			_, out := b.api("GET", "/stations/"+id, "", false)
			return strings.Contains(out, `"firmware_status": "Installed"`) && strings.Contains(out, `"log_status": "Uploaded"`)
		})
		if v == ocpp.V201 {
			b.until("the report of the device model", func() bool {
				_, out := b.api("GET", "/stations/"+id+"/report", "", false)
				return strings.Contains(out, `"complete": true`) && strings.Contains(out, "ChargingStation.SupplyPhases")
			})
		}
		for action, code := range map[string]int{"RemoteStartTransaction": 404, "Nonsense": 404, "TriggerMessage": 400} {
			status, _ := call(action, `{"requestedMessage":["x"]}`)
			require.Equal(t, code, status, action)
		}
		status, _ := b.api("GET", "/stations/"+id+"/availability", "", false)
		require.Equal(t, 200, status)
	})
	_, out = b.api("GET", "/stations/CP-1", "", false)
	require.NotContains(t, out, "salt")
	for _, path := range []string{"/stations/nobody", "/sessions/0", "/sessions/x", "/sessions/77", "/sessions?limit=9999"} {
		status, _ := b.api("GET", path, "", false)
		require.GreaterOrEqual(t, status, 400, path)
	}
	status, out = b.api("GET", "/metrics", "", false)
	require.Equal(t, 200, status)
	require.Contains(t, out, "cairn_csms_connections 2")
	status, _ = b.api("DELETE", "/stations/CP-1", "", true)
	require.Equal(t, 200, status)
}

func TestRoamingPartnersReadLocationsTariffsAndCDRs(t *testing.T) {
	b := newBench(t, func(c *csms.Config) {
		c.RoamingListen, c.RoamingTokens, c.Party = "127.0.0.1:0", map[string]string{"secret-token": "partner"}, "DE*CAI"
	})
	m := meter(t, "M-1", chargepoint.P256)
	s := b.station("CP-1", ocpp.V16, func(r *csms.Station, c *chargepoint.Config) {
		c.Meter = m
		r.Meters, r.Place = []csms.MeterKey{{Serial: "M-1", Key: m.PublicKey()}}, csms.Place{City: "Bern", Country: "CHE", Lat: "46.94000", Lon: "7.44000"}
	})
	for range 3 {
		s.Plug(1, &chargepoint.Car{Capacity: 50_000, Power: 11_000})
		o := b.order("CP-1", cairn(100), 0)
		require.NoError(t, s.AwaitStatus(b.wait(), 1, "Charging"))
		s.Charge(1, time.Hour)
		require.NoError(t, s.Unplug(1))
		b.settled(o.ID)
	}
	host := strings.TrimSuffix(b.info.Roaming, "/ocpi/versions")
	get := func(url, token string) (int, http.Header, map[string]any) {
		q, err := http.NewRequestWithContext(b.wait(), http.MethodGet, url, nil)
		require.NoError(t, err)
		q.Header.Set("Authorization", "Token "+token)
		response, err := http.DefaultClient.Do(q)
		require.NoError(t, err)
		defer response.Body.Close()
		var out map[string]any
		require.NoError(t, json.NewDecoder(response.Body).Decode(&out))
		return response.StatusCode, response.Header, out
	}
	status, _, _ := get(b.info.Roaming, "wrong")
	require.Equal(t, http.StatusUnauthorized, status)
	for _, token := range []string{"secret-token", "c2VjcmV0LXRva2Vu"} {
		status, _, out := get(b.info.Roaming, token)
		require.Equal(t, 200, status)
		require.InDelta(t, 1000, out["status_code"], 0)
	}
	_, _, out := get(host+"/ocpi/cpo/2.2.1/locations", "secret-token")
	location := out["data"].([]any)[0].(map[string]any)
	require.Equal(t, "Bern", location["city"])
	require.Equal(t, "DE*CAI*ECP-1*1", location["evses"].([]any)[0].(map[string]any)["evse_id"])
	_, _, out = get(host+"/ocpi/cpo/2.2.1/tariffs", "secret-token")
	require.Len(t, out["data"], 1)

	// CDRs, page by page.
	b.until("settlements noted", func() bool {
		_, h, _ := get(host+"/ocpi/cpo/2.2.1/cdrs", "secret-token")
		return h.Get("X-Total-Count") == "3"
	})
	url, seen := host+"/ocpi/cpo/2.2.1/cdrs?limit=2", 0
	for url != "" {
		_, h, out := get(url, "secret-token")
		for _, c := range out["data"].([]any) {
			cdr := c.(map[string]any)
			require.InDelta(t, 11, cdr["total_energy"], 1e-9)
			require.InDelta(t, 23, cdr["total_cost"].(map[string]any)["incl_vat"], 1e-9)
			require.Equal(t, "OCMF", cdr["signed_data"].(map[string]any)["encoding_method"])
			seen++
		}
		url = ""
		if link := h.Get("Link"); link != "" {
			url = strings.TrimPrefix(strings.TrimSuffix(link, `>; rel="next"`), "<")
		}
	}
	require.Equal(t, 3, seen)
	_, _, out = get(host+"/ocpi/cpo/2.2.1/cdrs?date_from=2099-01-01T00:00:00Z", "secret-token")
	require.Empty(t, out["data"])
	for _, bad := range []string{"limit=0", "offset=-1", "date_from=soon"} {
		_, _, out = get(host+"/ocpi/cpo/2.2.1/cdrs?"+bad, "secret-token")
		require.InDelta(t, 2001, out["status_code"], 0, bad)
	}
}
