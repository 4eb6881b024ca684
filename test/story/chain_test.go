package story

import (
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cairn-network/cairn/core/price"
	"github.com/cairn-network/cairn/devnet"
)

// What the story reads of the chain, over REST, in the shapes of proto/cairn/*/v1.

type device struct {
	ID     uint64 `json:"device,string"`
	Passed uint64 `json:"passed,string"`
	Total  uint64 `json:"-"` // KiB under its commitment
}

type coin struct{ Amount string }

type fact struct {
	Challenged bool
	Passed     uint32
}

type fault struct {
	Slashed, Bounty coin
}

type challenge struct {
	Positions []string
	Proof     *struct{ Positions int }
}

type report struct {
	Status, Rejected string
}

type bondOf struct{ Bond, Rejections string }

func (s *story) epoch() uint64 {
	var a struct {
		Epoch struct{ Number string }
	}
	s.get("cairn/audit/v1/epoch", &a)
	return number(a.Epoch.Number)
}

// devices gives those that have committed to anything.
func (s *story) devices() (list []device) {
	var a struct{ Standings []device }
	s.get("cairn/storage/v1/standings", &a)
	for _, d := range a.Standings {
		var c struct {
			Latest *struct{ Total string }
		}
		s.get(fmt.Sprintf("cairn/storage/v1/commitments/%d", d.ID), &c)
		if c.Latest != nil {
			d.Total = number(c.Latest.Total)
		}
		list = append(list, d)
	}
	return list
}

func (s *story) fact(epoch, device uint64) fact {
	var a struct{ Fact fact }
	_ = s.read(s.network.Ready().REST, fmt.Sprintf("cairn/storage/v1/facts/%d/%d", epoch, device), &a) // none is none
	return a.Fact
}

func (s *story) faults(device uint64) []fault {
	var a struct{ Faults []fault }
	s.get(fmt.Sprintf("cairn/storage/v1/faults?device=%d", device), &a)
	return a.Faults
}

// pageFaults is what the web page is told of a device's faults.
func (s *story) pageFaults(device uint64) []fault {
	var a struct{ Faults []fault }
	require.NoError(s, s.read(s.network.Ready().Web, fmt.Sprintf("api/chain/cairn/storage/v1/faults?device=%d", device), &a))
	return a.Faults
}

func (s *story) challenge(device uint64) challenge {
	var a struct{ Challenge challenge }
	s.get(fmt.Sprintf("cairn/storage/v1/challenges/%d", device), &a)
	return a.Challenge
}

func (s *story) bond(device uint64) *big.Int {
	var a struct {
		Device struct{ Bond coin }
	}
	s.get(fmt.Sprintf("cairn/device/v1/devices/%d", device), &a)
	return amount(a.Device.Bond.Amount)
}

func (s *story) reporter(address string) bondOf {
	var a struct{ Reporter bondOf }
	s.get("cairn/audit/v1/reporters/"+address, &a)
	return a.Reporter
}

// reports gives those of rounds that are not over.
func (s *story) reports() (list []report) {
	var a struct {
		Rounds []struct{ Epoch string }
	}
	s.get("cairn/audit/v1/rounds/1", &a)
	for _, round := range a.Rounds {
		var one struct{ Reports []report }
		_ = s.read(s.network.Ready().REST, "cairn/audit/v1/rounds/1/"+round.Epoch, &one) // final meanwhile
		list = append(list, one.Reports...)
	}
	return list
}

// get reads the chain, which may be busy for a moment.
func (s *story) get(path string, into any) {
	s.Helper()
	s.eventually("the chain answers", func() error { return s.read(s.network.Ready().REST, path, into) })
}

func (s *story) read(base, path string, into any) error {
	client := http.Client{Timeout: 10 * time.Second}
	r, err := client.Get(base + "/" + path)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", path, r.Status)
	}
	return json.NewDecoder(r.Body).Decode(into)
}

// index is the number of a device's node among the storage nodes.
func (s *story) index(device uint64) int {
	i, err := strconv.Atoi(strings.TrimPrefix(s.name(device), "storage-"))
	require.NoError(s, err)
	return i
}

func (s *story) name(device uint64) string {
	for _, p := range s.network.Ready().Processes {
		if p.Role == "storage" && p.DeviceID == device {
			return p.Name
		}
	}
	s.Fatalf("no storage node has device %d", device)
	return ""
}

func (s *story) account(name string) devnet.Account {
	for _, a := range s.network.Ready().Accounts {
		if a.Name == name {
			return a
		}
	}
	s.Fatalf("the network has no account %s", name)
	return devnet.Account{}
}

// cairn runs the program as the person whose home is given and gives what it prints.
func (s *story) cairn(home string, args ...string) string {
	s.Helper()
	out, err := s.try(home, args...)
	require.NoError(s, err)
	return out
}

func (s *story) try(home string, args ...string) (string, error) {
	cmd := exec.CommandContext(s.Context(), filepath.Join(s.bin, "cairn"), append([]string{"--home", home, "--node", s.network.Ready().GRPC}, args...)...)
	cmd.Env = append(os.Environ(), "NO_COLOR=1")
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		return string(out), fmt.Errorf("cairn %s: %w\n%s%s", strings.Join(args, " "), err, out, problems.String())
	}
	return string(out), nil
}

// patience is the longest that anything may take.
const patience = 3 * time.Minute

func (s *story) eventually(what string, f func() error) {
	s.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			s.Fatalf("%s: not within %s: %v", what, patience, err)
		}
		select {
		case <-s.Context().Done():
			s.Fatalf("%s: %v", what, err)
		case <-time.After(300 * time.Millisecond):
		}
	}
}

// The voice of the story: standard output, so that people read along while it happens.

func (s *story) chapter(title string) { fmt.Printf("\n── %s\n\n", title) }

func (s *story) tell(format string, args ...any) { fmt.Printf("   "+format+"\n", args...) }

func (s *story) show(command, output string) {
	fmt.Printf("\n   $ %s\n", command)
	for line := range strings.Lines(output) {
		fmt.Print("     " + line)
	}
	fmt.Println()
}

func number(text string) uint64 {
	n, _ := strconv.ParseUint(text, 10, 64)
	return n
}

func amount(text string) *big.Int {
	n, ok := new(big.Int).SetString(text, 10)
	if !ok {
		return new(big.Int)
	}
	return n
}

// cairn spells an amount of acairn as people do.
func cairn(text string) string {
	a, err := price.FromBig(amount(text))
	if err != nil {
		return text
	}
	return a.Format()
}

func orElse(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
