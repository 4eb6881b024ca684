package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cairn-network/cairn/internal/clock"
)

func terminal() (t *Terminal, out, err *bytes.Buffer) {
	out, err = &bytes.Buffer{}, &bytes.Buffer{}
	return &Terminal{In: strings.NewReader(""), Out: out, Err: err}, out, err
}

func TestOneResultInTwoForms(t *testing.T) {
	term, out, _ := terminal()
	result := map[string]string{"address": "cairn1<x>"}
	people := func(w io.Writer) { fmt.Fprintln(w, "your address is cairn1<x>") }
	require.NoError(t, term.Show(result, people))
	require.Equal(t, "your address is cairn1<x>\n", out.String())
	out.Reset()
	term.JSON = true
	require.NoError(t, term.Show(result, people))
	require.Equal(t, "{\n  \"address\": \"cairn1<x>\"\n}\n", out.String())
}

func TestErrorsSayWhatToDoNext(t *testing.T) {
	cause := errors.New("no wallet")
	err := Hint(fmt.Errorf("opening: %w", Hint(cause, "run: cairn wallet %s", "create")), "look around")
	require.ErrorIs(t, err, cause)
	require.Equal(t, "run: cairn wallet create", Next(err))
	require.Empty(t, Next(cause))
	require.NoError(t, Hint(nil, "x"))

	term, _, stderr := terminal()
	term.Fail("cairn", err)
	require.Equal(t, "cairn: opening: no wallet\n  → run: cairn wallet create\n", stderr.String())
	stderr.Reset()
	term.JSON = true
	term.Fail("cairn", err)
	require.JSONEq(t, `{"error":"opening: no wallet","next":"run: cairn wallet create"}`, stderr.String())
	stderr.Reset()
	term.Note("only for people")
	require.Empty(t, stderr.String())
}

func TestConfirm(t *testing.T) {
	for answer, goes := range map[string]bool{"y\n": true, " YES \n": true, "yes": true, "\n": false, "": false, "no\n": false, "yesterday\n": false} {
		term, out, asked := terminal()
		term.Interactive, term.In = true, strings.NewReader(answer)
		if err := term.Confirm("Burn it?", false); (err == nil) != goes {
			t.Errorf("answer %q: %v", answer, err)
		}
		if out.Len() > 0 || !strings.Contains(asked.String(), "Burn it? [y/N]") {
			t.Errorf("asked %q, %q among the results", asked, out)
		}
	}
	term, _, asked := terminal()
	if err := term.Confirm("Burn it?", true); err != nil || asked.Len() > 0 {
		t.Errorf("with --yes: %v, asked %q", err, asked)
	}
	if err := term.Confirm("Burn it?", false); err == nil || !strings.Contains(Next(err), "--yes") {
		t.Errorf("nobody there: %v", err)
	}
}

func TestNobodyToAsk(t *testing.T) {
	term, _, _ := terminal()
	_, err := term.Secret("Passphrase")
	require.ErrorContains(t, err, "no terminal")
}

func TestProgress(t *testing.T) {
	term, _, stderr := terminal()
	p := term.Progress("backup.tar", 2000)
	p.Add(1000)
	p.Done()
	require.Empty(t, stderr.String(), "nobody watches")

	term.Interactive = true
	fake := clock.NewFake(time.Unix(0, 0))
	p = term.Progress("a/very/long/name/that/does/not/fit/backup.tar", 4000)
	p.clock, p.started = fake, fake.Now()
	p.Resume(1000)
	fake.Advance(time.Second)
	b, err := io.ReadAll(p.Reader(strings.NewReader(strings.Repeat("x", 2000))))
	require.NoError(t, err)
	require.Len(t, b, 2000)
	p.Done()
	lines := strings.Split(stderr.String(), "\r")
	last := lines[len(lines)-1]
	require.Contains(t, last, "███████████████████████"[:3*18]+"░")
	require.Contains(t, last, " 75%  3 KB / 4 KB  2 KB/s")
	require.Contains(t, last, "…")
	require.True(t, strings.HasSuffix(last, "\n"))

	require.Contains(t, (&Progress{total: -1, done: 1500}).line(time.Time{}), "1.5 KB")
	require.Contains(t, (&Progress{total: 0}).line(time.Time{}), "100%")
}

func TestTable(t *testing.T) {
	var b bytes.Buffer
	Table(&b, []string{"ID", "REGION"}, [][]string{{"1", "DE"}, {"100", "FR"}})
	require.Equal(t, "ID   REGION\n1    DE\n100  FR\n", b.String())
}
