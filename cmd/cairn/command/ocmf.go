package command

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cairn-network/cairn/core/exactjson"
	"github.com/cairn-network/cairn/core/ocmf"
	"github.com/cairn-network/cairn/internal/cli"
	"github.com/cairn-network/cairn/wire/meterfile"
)

func (s *session) ocmf() *cobra.Command {
	c := &cobra.Command{Use: "ocmf", Short: "Check what a charging station's meter has signed"}
	c.AddCommand(s.ocmfVerify())
	return c
}

func (s *session) ocmfVerify() *cobra.Command {
	var key string
	var embedded bool
	c := &cobra.Command{
		Use: "verify FILE", Short: "Say of each signed meter record whether it holds", Args: cobra.ExactArgs(1),
		Example: "  cairn ocmf verify receipt.xml --key 3059301306072a8648ce3d02...\n  cairn ocmf verify ocpp.log --key meter.pem --json",
		Long: `Checks signed meter records (OCMF) of charging stations, without a network. FILE may be a record as
text, JSON as OCPP carries it, XML as SAFE's transparency software reads it, or a log of OCPP messages;
"-" reads standard input.

--key is the meter's public key in hex, base64 or as a PEM file: the one printed on the meter or listed
in a register. Without it the keys that an XML file has beside its records are used, which shows that
nothing was changed since, but not whose meter it was. A key that the station sent along with a record
is used with --embedded-keys alone, and shows no more.

The exit status is 0 if every record in the file holds.`,
		RunE: func(_ *cobra.Command, args []string) error {
			data, err := s.readFile(args[0], meterfile.MaxFile)
			if err != nil {
				return err
			}
			items, err := meterfile.Read(data)
			if err != nil {
				return cli.Hint(fmt.Errorf("reading %s: %w", args[0], err), "a record begins with OCMF| and stands as text, in JSON or in SAFE's XML")
			}
			check := checker{embedded: embedded}
			if key != "" {
				if check.given, err = givenKey(key); err != nil {
					return err
				}
			}
			for _, item := range items {
				check.item(item)
			}
			check.settle()
			if err := s.Show(check.report(), check.print); err != nil {
				return err
			}
			if n := check.refused(); n > 0 {
				return fmt.Errorf("%d of %d records do not hold", n, len(check.records))
			}
			return nil
		},
	}
	c.Flags().StringVar(&key, "key", "", "the meter's public key: hex, base64 or a PEM file")
	c.Flags().BoolVar(&embedded, "embedded-keys", false, "use keys that the station sent along, where there is no other")
	return c
}

// readFile returns a file's content, or standard input's for "-"; an error if it is longer than most.
func (s *session) readFile(path string, most int64) ([]byte, error) {
	in := s.In
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		in = file
	}
	data, err := io.ReadAll(io.LimitReader(in, most+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	if int64(len(data)) > most {
		return nil, fmt.Errorf("%s has more than %d MiB", path, most>>20)
	}
	return data, nil
}

// givenKey reads --key: a key, or a file that holds one.
func givenKey(text string) (ocmf.Key, error) {
	if data, err := os.ReadFile(text); err == nil && len(data) <= ocmf.MaxKeyText {
		text = string(data)
	}
	key, err := ocmf.ParseKey(text)
	return key, cli.Hint(err, "give --key the public key as printed on the meter, in hex, or the name of a PEM file")
}

// The sources a key may come from.
const (
	keyGiven    = "given"
	keyFile     = "file"
	keyEmbedded = "embedded"
)

// checker checks records one after the other.
type checker struct {
	given    ocmf.Key
	embedded bool
	records  []checked
	sessions []settled
}

// checked is one record and its verdict.
type checked struct {
	item   meterfile.Item
	record ocmf.Record
	key    ocmf.Key
	source string
	form   ocmf.Form
	err    error
}

// settled is what a session's records prove together.
type settled struct {
	ocmf.Settlement
	err error
}

// item checks one record of a file.
func (c *checker) item(item meterfile.Item) {
	r := checked{item: item}
	r.err = c.check(&r)
	c.records = append(c.records, r)
}

func (c *checker) check(r *checked) error {
	if r.item.Format != "" {
		return &ocmf.Refusal{Reason: ocmf.Malformed, Detail: fmt.Sprintf("the file says that the format is %.20q, not OCMF", r.item.Format)}
	}
	packed, err := ocmf.Unpack([]byte(r.item.Text))
	if err != nil {
		return err
	}
	if r.record, err = ocmf.Parse(packed.Record); err != nil {
		return err
	}
	text := ""
	switch {
	case !c.given.IsZero():
		r.key, r.source = c.given, keyGiven
	case r.item.Key != "":
		text, r.source = r.item.Key, keyFile
	case c.embedded && r.item.EmbeddedKey+packed.EmbeddedKey != "":
		if text, r.source = r.item.EmbeddedKey, keyEmbedded; text == "" {
			text = packed.EmbeddedKey
		}
	}
	if text != "" {
		if r.key, err = ocmf.ParseKey(text); err != nil {
			return err
		}
	}
	if r.key.IsZero() && r.item.EmbeddedKey+packed.EmbeddedKey != "" {
		return &ocmf.Refusal{Reason: ocmf.NoKey, Detail: "the station sent a key along, which proves nothing: give the meter's own with --key"}
	}
	r.form, err = r.record.Verify(r.key)
	return err
}

// settle judges the sessions among the records that hold: of one meter and key, from a record that
// begins one to the next that ends one.
func (c *checker) settle() {
	var held []checked
	for _, r := range c.records {
		if r.err == nil && r.record.Page.Context == 'T' {
			held = append(held, r)
		}
	}
	slices.SortStableFunc(held, func(a, b checked) int {
		if d := strings.Compare(a.record.Serial()+a.key.String(), b.record.Serial()+b.key.String()); d != 0 {
			return d
		}
		switch p, q := a.record.Page.Number, b.record.Page.Number; {
		case p < q:
			return -1
		case p > q:
			return 1
		default:
			return 0
		}
	})
	for len(held) > 0 {
		n := sessionLength(held)
		records := make([]ocmf.Record, n)
		for i := range records {
			records[i] = held[i].record
		}
		result, err := ocmf.Settle(records, ocmf.Rules{Key: held[0].key})
		if err != nil {
			result = ocmf.Settlement{Serial: held[0].record.Serial()}
			for _, r := range records {
				result.Pages = append(result.Pages, r.Page)
			}
		}
		c.sessions = append(c.sessions, settled{result, err})
		held = held[n:]
	}
}

// sessionLength returns how many records from the first on belong to its session: to the first that
// ends one, or up to the next that begins one or is of another meter.
func sessionLength(held []checked) int {
	for i, r := range held {
		first, last := r.record.Readings[0], r.record.Readings[len(r.record.Readings)-1]
		if i > 0 && (first.Transaction == ocmf.Begin || r.record.Serial() != held[0].record.Serial() || r.key != held[0].key) {
			return i
		}
		if last.Transaction.Ends() {
			return i + 1
		}
	}
	return len(held)
}

func (c *checker) refused() (n int) {
	for _, r := range c.records {
		if r.err != nil {
			n++
		}
	}
	return n
}

// recordJSON is one record in the report.
type recordJSON struct {
	Where       string        `json:"where"`
	Transaction string        `json:"transaction,omitempty"`
	Context     string        `json:"context,omitempty"`
	Verdict     string        `json:"verdict"` // valid, invalid
	Reason      string        `json:"reason"`
	Text        string        `json:"text"`
	Detail      string        `json:"detail,omitempty"`
	Curve       string        `json:"curve,omitempty"`
	Form        string        `json:"signature_form,omitempty"`
	Key         string        `json:"key,omitempty"`
	KeySource   string        `json:"key_source,omitempty"`
	Serial      string        `json:"serial,omitempty"`
	Page        string        `json:"page,omitempty"`
	Payload     string        `json:"payload_sha256,omitempty"`
	Readings    []readingJSON `json:"readings,omitempty"`
}

type readingJSON struct {
	Time        string `json:"time"`
	Transaction string `json:"transaction,omitempty"`
	Value       string `json:"value,omitempty"`
	Unit        string `json:"unit,omitempty"`
	Register    string `json:"register,omitempty"`
	State       string `json:"state"`
	Faults      string `json:"faults,omitempty"`
}

// sessionJSON is one session in the report.
type sessionJSON struct {
	Serial   string   `json:"serial"`
	Pages    []string `json:"pages"`
	Verdict  string   `json:"verdict"` // billable, not billable
	Reason   string   `json:"reason"`
	Text     string   `json:"text"`
	Detail   string   `json:"detail,omitempty"`
	Register string   `json:"register,omitempty"`
	From     string   `json:"from,omitempty"`
	Until    string   `json:"until,omitempty"`
	// Energy is exact, in kWh; Seconds count only where the meter's clock allows it.
	Energy       string  `json:"energy_kwh,omitempty"`
	Seconds      *uint64 `json:"seconds,omitempty"`
	TimeBillable bool    `json:"time_billable"`
}

func (c *checker) report() any {
	out := struct {
		Valid    int           `json:"valid"`
		Invalid  int           `json:"invalid"`
		Records  []recordJSON  `json:"records"`
		Sessions []sessionJSON `json:"sessions"`
	}{Valid: len(c.records) - c.refused(), Invalid: c.refused(), Sessions: []sessionJSON{}}
	for i := range c.records {
		out.Records = append(out.Records, c.records[i].json())
	}
	for i := range c.sessions {
		out.Sessions = append(out.Sessions, c.sessions[i].json())
	}
	return out
}

func (r *checked) json() recordJSON {
	reason := ocmf.ReasonOf(r.err)
	out := recordJSON{
		Where: r.item.Where, Transaction: r.item.Transaction, Context: r.item.Context,
		Verdict: "valid", Reason: reason.String(), Text: reason.Text(), Detail: detail(r.err),
		Form: r.form.String(), KeySource: r.source,
	}
	if r.err != nil {
		out.Verdict = "invalid"
	}
	if !r.key.IsZero() {
		out.Key = r.key.String()
	}
	if r.record.Payload == nil {
		return out
	}
	id := r.record.ID()
	out.Serial, out.Page, out.Payload = r.record.Serial(), r.record.Page.String(), fmt.Sprintf("%x", id)
	out.Curve = r.record.Signature.Curve.String()
	for _, reading := range r.record.Readings {
		j := readingJSON{Time: reading.Time.String(), Register: reading.Register, State: reading.State, Faults: reading.Faults}
		if reading.Transaction != 0 {
			j.Transaction = string(reading.Transaction)
		}
		if reading.Present {
			j.Value, j.Unit = reading.Value.String(), reading.Unit
		}
		out.Readings = append(out.Readings, j)
	}
	return out
}

// detail is what a refusal is about, "" for none.
func detail(err error) string {
	var refusal *ocmf.Refusal
	if errors.As(err, &refusal) {
		return refusal.Detail
	}
	return ""
}

func (s *settled) json() sessionJSON {
	reason := ocmf.ReasonOf(s.err)
	out := sessionJSON{Serial: s.Serial, Verdict: "billable", Reason: reason.String(), Text: reason.Text(), Detail: detail(s.err), Register: s.Register}
	for _, p := range s.Pages {
		out.Pages = append(out.Pages, p.String())
	}
	if s.err != nil {
		out.Verdict = "not billable"
		return out
	}
	out.From, out.Until, out.Energy = s.Begin.Time.String(), s.End.Time.String(), kilowattHours(s.Energy)
	out.Seconds, out.TimeBillable = &s.Seconds, s.TimeBillable
	return out
}

// kilowattHours writes energy exactly, "1.101".
func kilowattHours(e ocmf.MilliWattHours) string {
	text := exactjson.Decimal{Mantissa: int64(e), Scale: 6}.String()
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

// print writes the verdicts for people.
func (c *checker) print(w io.Writer) {
	var rows [][]string
	trusted := true
	for _, r := range c.records {
		verdict, why := "holds", ""
		if r.err != nil {
			verdict, why = "REFUSED", fmt.Sprintf("%s (%s)", ocmf.ReasonOf(r.err).Text(), detail(r.err))
		} else if r.source != keyGiven {
			trusted = false
		}
		rows = append(rows, []string{r.item.Where, dash(r.record.Serial()), dash(r.record.Page.String()), verdict, why})
	}
	cli.Table(w, []string{"RECORD", "METER", "PAGE", "VERDICT", ""}, rows)
	for _, s := range c.sessions {
		if s.err != nil {
			fmt.Fprintf(w, "\nMeter %s, records %s: not a session that can be billed. %s (%s)\n", dash(s.Serial), pages(s.Pages), ocmf.ReasonOf(s.err).Text(), detail(s.err))
			continue
		}
		fmt.Fprintf(w, "\nMeter %s, records %s: %s kWh\n  from   %s  %s kWh\n  until  %s  %s kWh\n", s.Serial, pages(s.Pages), kilowattHours(s.Energy),
			s.Begin.Time, kilowattHours(s.Begin.Value), s.End.Time, kilowattHours(s.End.Value))
		if !s.TimeBillable {
			fmt.Fprintln(w, "  The meter's clock was not set by law: energy may be billed, time may not.")
		}
	}
	if !trusted {
		fmt.Fprintln(w, "\nThe keys are from the file itself: nothing was changed since it was signed, but whose meter it was\nis not shown. Compare the key with the one on the meter, or give that one with --key.")
	}
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func pages(list []ocmf.Page) string {
	if len(list) == 1 {
		return list[0].String()
	}
	return list[0].String() + " to " + list[len(list)-1].String()
}
