package ocpp_test

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/cairn-network/cairn/wire/ocpp"
	"github.com/cairn-network/cairn/wire/ocpp/v16"
	"github.com/cairn-network/cairn/wire/ocpp/v201"
)

func TestFramesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.StringN(1, 30, ocpp.MaxID).Draw(t, "id")
		if !json.Valid([]byte(strconv.Quote(id))) {
			t.Skip("a name that JSON quotes otherwise")
		}
		f, err := ocpp.ParseFrame(ocpp.AppendCall(nil, id, "Heartbeat", []byte(`{"a":[1,"]"]}`)))
		if err != nil || f.Kind != ocpp.KindCall || f.ID != id || f.Action != "Heartbeat" || string(f.Payload) != `{"a":[1,"]"]}` {
			t.Fatalf("%+v %v", f, err)
		}
		f, err = ocpp.ParseFrame(ocpp.AppendResult(nil, id, []byte(`{}`)))
		if err != nil || f.Kind != ocpp.KindResult || f.ID != id {
			t.Fatalf("%+v %v", f, err)
		}
		text := rapid.String().Draw(t, "description")
		f, err = ocpp.ParseFrame(ocpp.AppendError(nil, id, &ocpp.Error{Code: ocpp.GenericError, Description: text}))
		if err != nil || f.Kind != ocpp.KindError || f.Err.Code != ocpp.GenericError {
			t.Fatalf("%+v %v", f, err)
		}
	})
}

func TestFramesThatAreNone(t *testing.T) {
	for _, bad := range []string{
		"", " ", "null", "{}", "[]", "[2]", `[2,"1"]`, `[2,"1","A"`, `[2,"1","A",{}]x`, `[1,"1","A",{}]`, `[5,"1","A",{}]`, `["2.5","1","A",{}]`,
		`[2,"","A",{}]`, `[2,{},"A",{}]`, `[2,"1","",{}]`, `[2,"1","A",{]]`, `[2,"1","A","\`, "[2,\"" + strings.Repeat("x", ocpp.MaxID+1) + `","A",{}]`,
		`[2,"1","A",` + strings.Repeat("[", ocpp.MaxDepth) + strings.Repeat("]", ocpp.MaxDepth) + `]`,
		`[2,"1","A",{"a":"` + strings.Repeat("x", ocpp.MaxFrame) + `"}]`,
	} {
		_, err := ocpp.ParseFrame([]byte(bad))
		require.ErrorIs(t, err, ocpp.ErrFrame, "%.60s", bad)
	}
	f, err := ocpp.ParseFrame([]byte(`[2, 17 ,"A"]`)) // an id that is a number, no payload: seen in the field
	require.NoError(t, err)
	require.Equal(t, "17", f.ID)
}

func FuzzParseFrame(f *testing.F) {
	f.Add([]byte(`[2,"1","Heartbeat",{}]`))
	f.Add([]byte(`[3,"1",{"status":"Accepted"}]`))
	f.Add([]byte(`[4,"1","GenericError","",{}]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		frame, err := ocpp.ParseFrame(b)
		if err != nil {
			return
		}
		// What is valid JSON and a frame is read as encoding/json reads it.
		var twin []json.RawMessage
		if json.Unmarshal(b, &twin) != nil {
			return
		}
		if frame.Kind == ocpp.KindCall && len(twin) > 3 && string(frame.Payload) != string(twin[3]) {
			t.Fatalf("payload %q, want %q", frame.Payload, twin[3])
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"connectorId":1,"idTag":"A","meterStart":1,"timestamp":"2026-01-01T00:00:00Z"}`))
	f.Add([]byte(`{"connectorId":"1","idTag":5,"meterStart":1.0,"timestamp":""}`))
	f.Add([]byte(`{"meterValue":{"timestamp":null,"sampledValue":[{"value":5}]},"connectorId":0}`))
	f.Add([]byte(`{"eventType":"Started","seqNo":0,"triggerReason":"A","timestamp":"2026-01-01T00:00:00Z","transactionInfo":{"transactionId":"x"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, into := range []any{new(v16.StartTransaction), new(v16.MeterValues), new(v16.StopTransaction), new(v201.TransactionEventRequest), new(v201.NotifyReportRequest)} {
			if _, err := ocpp.Decode(b, into); err != nil {
				var refusal *ocpp.Error
				if !errors.As(err, &refusal) {
					t.Fatalf("%T is no refusal: %v", err, err)
				}
				continue
			}
			if s, ok := into.(*v16.StartTransaction); ok && (s.IDTag == "" || len(s.IDTag) > 20) {
				t.Fatalf("a start with the tag %q", s.IDTag)
			}
		}
	})
}

func FuzzParseTime(f *testing.F) {
	f.Add("2026-01-31T12:00:00.123Z")
	f.Fuzz(func(t *testing.T, s string) {
		at, err := ocpp.ParseTime(s)
		if err != nil || at.IsZero() {
			return
		}
		b, err := at.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		var back ocpp.Time
		if err := back.UnmarshalJSON(b); err != nil || back.Sub(at.Time).Abs() >= time.Millisecond {
			t.Fatalf("%s becomes %s: %v", at, back, err)
		}
	})
}

func FuzzDecimal(f *testing.F) {
	for _, s := range []string{"1.5", "-0.001", "1e3", "12345678901234567890", "NaN", "1e-30", ".5", "5."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ocpp.Decimal(s).Scaled(3)
		if err != nil {
			if !errors.Is(err, ocpp.ErrNumber) {
				t.Fatal(err)
			}
			return
		}
		// The naive twin rounds, so that it is right to a part in 2^52.
		x, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
		if err == nil && math.Abs(x*1000-float64(n)) > 1+math.Abs(x*1000)/(1<<50) {
			t.Fatalf("%q scaled is %d, as a float %g", s, n, x*1000)
		}
	})
}

func TestDecimals(t *testing.T) {
	for s, want := range map[string]int64{
		"1.2345": 1234, "0": 0, "-1.5": -1500, "+2": 2000, "1e2": 100_000, "1.5E-3": 1, "-0.0004": 0, "9223372036854775.807": math.MaxInt64, " 7 ": 7000, "1e-20": 0,
	} {
		n, err := ocpp.Decimal(s).Scaled(3)
		require.NoError(t, err, s)
		require.Equal(t, want, n, s)
	}
	for _, s := range []string{"", "NaN", "Inf", "1,5", "1.2.3", "0x10", "1e99", "9223372036854775.808", "--1", "1e", ".", strings.Repeat("9", 41), "1_000"} {
		_, err := ocpp.Decimal(s).Scaled(3)
		require.ErrorIs(t, err, ocpp.ErrNumber, s)
	}
	require.Equal(t, ocpp.Decimal("-0.005"), ocpp.DecimalOf(-5, 3))
	require.Equal(t, ocpp.Decimal("12.345"), ocpp.DecimalOf(12345, 3))
}

func TestTimesOfTheField(t *testing.T) {
	want := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	for _, s := range []string{
		"2026-01-31T12:00:00Z", "2026-01-31T12:00:00.000Z", "2026-01-31T12:00:00", "2026-01-31 12:00:00", "2026-01-31T13:00:00+01:00", "2026-01-31T13:00:00+0100",
		"2026-01-31T13:00:00+01", " 2026-01-31T12:00:00Z ", "2026-01-31T12:00Z", "2026-01-31 12:00:00.000000Z",
	} {
		at, err := ocpp.ParseTime(s)
		require.NoError(t, err, s)
		require.True(t, at.Equal(want), "%s is %s", s, at)
	}
	for _, s := range []string{"yesterday", "2026-13-01T00:00:00Z", "1969-12-31T23:59:59Z", "10000-01-01T00:00:00Z", "1769860800", strings.Repeat("2", 65)} {
		_, err := ocpp.ParseTime(s)
		require.Error(t, err, s)
	}
}

// What stations send and schemas forbid: mended where harmless, refused where it names who pays or how much.
func TestDeviations(t *testing.T) {
	good := `"connectorId":1,"idTag":"A","meterStart":5,"timestamp":"2026-01-01T00:00:00Z"`
	for payload, mended := range map[string]bool{
		`{` + good + `}`: false,
		`{` + good + `,"reservationId":null,"vendorThing":{"x":1}}`:                                                      false,
		`{"connectorId":"1","idTag":"A","meterStart":"5","timestamp":"2026-01-01T00:00:00Z"}`:                            true,
		`{"connectorId":1.0,"idTag":"A","meterStart":5.000,"timestamp":"2026-01-01T00:00:00"}`:                           true,
		`{"connectorId":1,"idTag":12345,"meterStart":5,"timestamp":"2026-01-01 00:00:00"}`:                               true,
		`{"CONNECTORID":1,"idtag":"A","meterStart":5,"timestamp":"2026-01-01T00:00:00Z","reservationId":"7","idTagX":1}`: true,
	} {
		var q v16.StartTransaction
		how, err := ocpp.Decode([]byte(payload), &q)
		require.NoError(t, err, payload)
		require.Equal(t, mended, len(how) > 0, "%s: %v", payload, how)
		require.Equal(t, 1, q.ConnectorID)
		require.Equal(t, 5, q.MeterStart)
	}
	for payload, code := range map[string]ocpp.Code{
		`{"connectorId":1,"meterStart":5,"timestamp":"2026-01-01T00:00:00Z"}`:              ocpp.OccurrenceViolated,
		`{"connectorId":1,"idTag":null,"meterStart":5,"timestamp":"2026-01-01T00:00:00Z"}`: ocpp.OccurrenceViolated,
		`{"connectorId":1,"idTag":"","meterStart":5,"timestamp":"2026-01-01T00:00:00Z"}`:   ocpp.OccurrenceViolated,
		`{"connectorId":1,"idTag":"A","timestamp":"2026-01-01T00:00:00Z"}`:                 ocpp.OccurrenceViolated,
		`{` + good + `,"idTag":"B"}`: ocpp.FormationViolation,
		`{` + good + `,"IDTAG":"B"}`: ocpp.FormationViolation,
		`{"connectorId":1,"idTag":"AAAAAAAAAAAAAAAAAAAAA","meterStart":5,"timestamp":"2026-01-01T00:00:00Z"}`: ocpp.PropertyConstraint,
		`{"connectorId":1,"idTag":"A","meterStart":5.5,"timestamp":"2026-01-01T00:00:00Z"}`:                   ocpp.TypeConstraint,
		`{"connectorId":1,"idTag":"A","meterStart":"NaN","timestamp":"2026-01-01T00:00:00Z"}`:                 ocpp.TypeConstraint,
		`{"connectorId":1,"idTag":"A","meterStart":99999999999999999999,"timestamp":"2026-01-01T00:00:00Z"}`:  ocpp.TypeConstraint,
		`{"connectorId":1,"idTag":"A","meterStart":5,"timestamp":"soon"}`:                                     ocpp.TypeConstraint,
		`"text"`: ocpp.FormationViolation, `[1]`: ocpp.FormationViolation, `null`: ocpp.OccurrenceViolated, ``: ocpp.OccurrenceViolated,
	} {
		var q v16.StartTransaction
		_, err := ocpp.Decode([]byte(payload), &q)
		var refusal *ocpp.Error
		require.ErrorAs(t, err, &refusal, payload)
		require.Equal(t, code, refusal.Code, "%s: %v", payload, err)
		require.NotEmpty(t, refusal.Description)
	}
	var values v16.MeterValues
	how, err := ocpp.Decode([]byte(`{"connectorId":1,"meterValue":{"timestamp":"","sampledValue":{"value":7.5,"unit":"watthours"}}}`), &values)
	require.NoError(t, err)
	require.NotEmpty(t, how)
	require.Equal(t, "7.5", values.MeterValue[0].SampledValue[0].Value)
	var data v16.DataTransfer
	_, err = ocpp.Decode([]byte(`{"vendorId":"X","data":{"a":[1,2]}}`), &data)
	require.NoError(t, err)
	require.JSONEq(t, `{"a":[1,2]}`, data.Data)
	var beat v16.Heartbeat
	_, err = ocpp.Decode(nil, &beat)
	require.NoError(t, err)
}

func TestOurOwnMessagesAreHeldToTheSchema(t *testing.T) {
	require.NoError(t, ocpp.Check(&v16.RemoteStartTransaction{IDTag: "A"}))
	require.Error(t, ocpp.Check(&v16.RemoteStartTransaction{IDTag: strings.Repeat("A", 21)}))
	require.Error(t, ocpp.Check(&v16.RemoteStartTransaction{}))
	require.Error(t, ocpp.Check(&v201.RequestStartTransactionRequest{IDToken: v201.IDToken{IDToken: strings.Repeat("A", 37), Type: "Central"}}))
}

// The tags of all messages are of the kinds that Decode knows.
func TestTags(t *testing.T) {
	seen := make(map[reflect.Type]bool)
	var walk func(x reflect.Type)
	walk = func(x reflect.Type) {
		for x.Kind() == reflect.Pointer || x.Kind() == reflect.Slice {
			x = x.Elem()
		}
		if x.Kind() != reflect.Struct || seen[x] || x == reflect.TypeFor[ocpp.Time]() {
			return
		}
		seen[x] = true
		names := make(map[string]bool)
		for i := range x.NumField() {
			f := x.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			require.NotEmpty(t, name, "%s.%s", x, f.Name)
			require.False(t, names[strings.ToLower(name)], "%s.%s", x, f.Name)
			names[strings.ToLower(name)] = true
			for option := range strings.SplitSeq(f.Tag.Get("ocpp"), ",") {
				key, value, _ := strings.Cut(option, "=")
				switch key {
				case "", "required", "strict":
					require.Empty(t, value)
				case "max", "items":
					n, err := strconv.Atoi(value)
					require.NoError(t, err)
					require.Positive(t, n)
				default:
					t.Errorf("%s.%s has the tag %q", x, f.Name, option)
				}
			}
			walk(f.Type)
		}
	}
	for _, m := range []any{
		v16.StartTransaction{},
		v16.StopTransaction{},
		v16.MeterValues{},
		v16.SetChargingProfile{},
		v16.RemoteStartTransaction{},
		v16.SendLocalList{},
		v16.SignedUpdateFirmware{},
		v16.GetLog{},
		v16.InstallCertificate{},
		v16.GetConfigurationResponse{},
		v16.GetCompositeScheduleResponse{},
		v201.TransactionEventRequest{},
		v201.TransactionEventResponse{},
		v201.NotifyReportRequest{},
		v201.SetChargingProfileRequest{},
		v201.NotifyEventRequest{},
		v201.SetNetworkProfileRequest{},
		v201.NotifyEVChargingNeedsRequest{},
		v201.UpdateFirmwareRequest{},
		v201.AuthorizeRequest{},
		v201.SetDisplayMessageRequest{},
	} {
		walk(reflect.TypeOf(m))
	}
	require.Greater(t, len(seen), 60)
}

func TestStationIdentities(t *testing.T) {
	for _, id := range []string{"CP-1", "DE*CAI*E1", "a.b@c|d", strings.Repeat("x", 48)} {
		require.NoError(t, ocpp.CheckStation(id), id)
	}
	for _, id := range []string{"", "..", "a b", "a/b", "ä", "a\x00", strings.Repeat("x", 49), "<x>"} {
		require.Error(t, ocpp.CheckStation(id), id)
	}
}

func TestCodesAreSpelledAsTheEditionDoes(t *testing.T) {
	require.Equal(t, ocpp.Code("FormatViolation"), ocpp.FormationViolation.Spell(ocpp.V201))
	require.Equal(t, ocpp.Code("OccurenceConstraintViolation"), ocpp.OccurrenceViolated.Spell(ocpp.V16))
	require.ErrorIs(t, error(&ocpp.Error{Code: "FormatViolation"}), &ocpp.Error{Code: ocpp.FormationViolation})
}
