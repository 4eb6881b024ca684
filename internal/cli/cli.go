// Package cli is how a command speaks to the person, or to the program, that runs it: one
// output in two forms, errors that say what to do next, progress that is seen on a terminal
// and nowhere else.
package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"golang.org/x/term"
)

// Terminal is where a command reads and writes.
type Terminal struct {
	In  io.Reader
	Out io.Writer // results
	Err io.Writer // progress, notices, errors
	// JSON makes Show write JSON and silences what is meant for people.
	JSON bool
	// Interactive says that a person sees Err and can answer on In.
	Interactive bool
}

// Process is the terminal of this process.
func Process() *Terminal {
	return &Terminal{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr,
		Interactive: term.IsTerminal(int(os.Stderr.Fd())) && term.IsTerminal(int(os.Stdin.Fd())) && os.Getenv("TERM") != "dumb",
	}
}

// Show writes a result: v as JSON, or what people writes.
func (t *Terminal) Show(v any, people func(w io.Writer)) error {
	if !t.JSON {
		people(t.Out)
		return nil
	}
	encoder := json.NewEncoder(t.Out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(v); err != nil {
		return fmt.Errorf("writing result: %w", err)
	}
	return nil
}

// Note tells a person what happens; programs do not hear it.
func (t *Terminal) Note(format string, args ...any) {
	if !t.JSON {
		fmt.Fprintf(t.Err, format+"\n", args...)
	}
}

// Table writes rows in aligned columns.
func Table(w io.Writer, header []string, rows [][]string) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, strings.Join(header, "\t"))
	for _, row := range rows {
		fmt.Fprintln(tw, strings.Join(row, "\t"))
	}
	_ = tw.Flush() // as fmt.Fprint: whoever reads the terminal has gone
}

// Secret asks for a passphrase without showing it. It fails where nobody can answer.
func (t *Terminal) Secret(question string) (string, error) {
	if !t.Interactive {
		return "", errors.New("asking for a passphrase: no terminal")
	}
	fmt.Fprintf(t.Err, "%s: ", question)
	answer, err := term.ReadPassword(int(os.Stdin.Fd()))
	fmt.Fprintln(t.Err)
	if err != nil {
		return "", fmt.Errorf("reading passphrase: %w", err)
	}
	return string(answer), nil
}

// Confirm asks whether to go on and fails unless a person says yes. sure answers for the person, as
// --yes does; where nobody can be asked it is the only way.
func (t *Terminal) Confirm(question string, sure bool) error {
	if sure {
		return nil
	}
	if !t.Interactive {
		return Hint(errors.New("this needs a yes, and nobody can be asked"), "say it with --yes")
	}
	fmt.Fprintf(t.Err, "%s [y/N] ", question)
	answer, err := bufio.NewReader(io.LimitReader(t.In, 64)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("reading the answer: %w", err)
	}
	if a := strings.ToLower(strings.TrimSpace(answer)); a != "y" && a != "yes" {
		return errors.New("nothing was done")
	}
	return nil
}

// hint is an error with what to do about it.
type hint struct {
	error
	next string
}

func (h hint) Unwrap() error { return h.error }

// Hint attaches to err what the person can do next; nil stays nil. The innermost hint is shown:
// it knows best.
func Hint(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return hint{err, fmt.Sprintf(format, args...)}
}

// Next is the innermost hint in err, or "".
func Next(err error) string {
	next := ""
	for {
		var h hint
		if !errors.As(err, &h) {
			return next
		}
		next, err = h.next, h.error
	}
}

// Fail reports an error the way the terminal wants it.
func (t *Terminal) Fail(program string, err error) {
	next := Next(err)
	if t.JSON {
		failure := struct {
			Error string `json:"error"`
			Next  string `json:"next,omitempty"`
		}{err.Error(), next}
		if b, marshalErr := json.Marshal(failure); marshalErr == nil {
			fmt.Fprintf(t.Err, "%s\n", b)
		}
		return
	}
	fmt.Fprintf(t.Err, "%s: %s\n", program, err)
	if next != "" {
		fmt.Fprintf(t.Err, "  → %s\n", next)
	}
}
