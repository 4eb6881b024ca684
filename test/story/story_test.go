// Package story plays one evening in the life of a network, for people to watch: files are stored, a
// node loses its data and says nothing, a reporter lies about rewards, token holders change a rule.
// Everything is real but the hardware: processes of the programs that ship, one per actor.
//
//	make story
package story

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cairn-network/cairn/chainclient"
	"github.com/cairn-network/cairn/chainclient/wallet"
	"github.com/cairn-network/cairn/core/score"
	"github.com/cairn-network/cairn/daemon/reporter"
	"github.com/cairn-network/cairn/devnet"
	"github.com/cairn-network/cairn/devnet/devnettest"
)

const (
	files     = 16
	fileSize  = 1_500_000
	positions = 8 // after the vote; 4 before
)

// TestStory is the whole story. Every sentence that it tells has been checked.
func TestStory(t *testing.T) {
	if os.Getenv("CAIRN_STORY") == "" {
		t.Skip("runs a network of twenty processes for minutes: make story, or set CAIRN_STORY=1")
	}
	home := t.TempDir()
	config := devnet.Config{
		Home: home, Storage: 12, Reporters: 4, Processes: true, BinDir: devnettest.Programs(t),
		BlockTime: 500 * time.Millisecond, EpochBlocks: 24, VotingPeriod: 12 * time.Second,
	}
	devnettest.Run(t, config, func(t *testing.T, n *devnet.Network) {
		s := &story{T: t, network: n, home: home, bin: config.BinDir}
		s.opening()
		victim := s.proofs()
		s.silence(victim)
		s.repair(victim)
		s.lie()
		s.vote()
		s.ending()
	})
}

// opening: a renter stores files.
func (s *story) opening() {
	s.chapter("A network of neighbours")
	s.tell("Twelve owners rent out disks, four reporters compute what they earn, one watcher trusts nobody.")
	s.tell("Watch it at %s", s.network.Ready().Web)
	random := rand.NewChaCha8([32]byte{7})
	s.files = filepath.Join(s.TempDir(), "photos")
	require.NoError(s, os.Mkdir(s.files, 0o700))
	for i := range files {
		content := make([]byte, fileSize)
		_, _ = random.Read(content)
		require.NoError(s, os.WriteFile(filepath.Join(s.files, fmt.Sprintf("photo-%02d.raw", i)), content, 0o600))
	}
	s.cairn(s.gatewayHome(), "mb", "photos")
	s.cairn(s.gatewayHome(), "put", "--recursive", s.files, "photos")
	s.tell("A renter stores %d photos, %d kB each. They leave the renter's machine encrypted, in pieces.", files, fileSize/1000)
	s.renterReads()
}

// proofs: every device shows what it holds. It gives the one that holds the most.
func (s *story) proofs() (victim device) {
	s.chapter("Nobody is believed")
	s.tell("Each epoch, the validators' beacon draws what every device has to show of what it holds.")
	var all []device
	s.eventually("every device proves what it holds", func() error {
		all = s.devices()
		for _, d := range all {
			if d.Total > 0 && d.Passed < 2 {
				return fmt.Errorf("device %d has passed %d challenges", d.ID, d.Passed)
			}
		}
		if len(all) < 8 {
			return fmt.Errorf("%d devices have committed", len(all))
		}
		return nil
	})
	for _, d := range all {
		s.tell("  %-10s holds %5d kB, passed %d challenges, earned what the reports say", s.name(d.ID), d.Total, d.Passed)
	}
	return slices.MaxFunc(all, func(a, b device) int { return int(a.Total) - int(b.Total) })
}

// silence: the victim's data vanishes; it goes on serving as if nothing had happened.
func (s *story) silence(victim device) {
	s.chapter("A node loses its data and says nothing")
	before := s.bond(victim.ID)
	logs := filepath.Join(s.home, "storage", fmt.Sprint(s.index(victim.ID)), "pieces", "logs")
	erased := 0
	require.NoError(s, filepath.WalkDir(logs, func(path string, entry os.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			erased++
			err = os.Truncate(path, 0)
		}
		return err
	}))
	require.Positive(s, erased)
	from := s.epoch()
	s.tell("In epoch %d the owner of %s deletes everything on its disk. The program runs on, the offer stands.", from, s.name(victim.ID))

	var missed uint64
	s.eventually("the challenge goes unanswered", func() error {
		for epoch := from; epoch < s.epoch(); epoch++ {
			if f := s.fact(epoch, victim.ID); f.Challenged && f.Passed == 0 {
				missed = epoch
				return nil
			}
		}
		return errors.New("no missed challenge yet")
	})
	s.tell("Epoch %d: challenged, and no answer came. Nobody had to accuse it.", missed)

	var f fault
	s.eventually("the fault is proven", func() error {
		if faults := s.faults(victim.ID); len(faults) > 0 {
			f = faults[0]
			return nil
		}
		return errors.New("no fault yet")
	})
	s.tell("Somebody pointed at it for a bounty of %s: %s of its bond are gone, the rest of that burned.", cairn(f.Bounty.Amount), cairn(f.Slashed.Amount))
	require.Less(s, s.bond(victim.ID).Cmp(before), 0, "the bond is not smaller")

	var why string
	s.eventually("the epoch's rewards are computed", func() (err error) {
		why, err = s.try(s.gatewayHome(), "device", "why", fmt.Sprint(victim.ID), fmt.Sprint(missed))
		return err
	})
	s.show(fmt.Sprintf("cairn device why %d %d", victim.ID, missed), why)
	require.Regexp(s, `reason +(missed-challenge|proven-fault|jailed|failed-proof)`, why)
	require.Contains(s, why, "earned    0 CAIRN")
	require.NotEmpty(s, s.pageFaults(victim.ID), "the page does not show the fault")
}

// repair: the pieces are elsewhere; the renter noticed nothing.
func (s *story) repair(victim device) {
	s.chapter("The renter noticed nothing")
	s.eventually("repair has moved the pieces", func() error {
		status, err := s.network.GatewayStatus(s.Context())
		switch r := status.Repair; {
		case err != nil:
			return err
		case r.Rebuilt == 0 || r.Degraded > 0 || r.Lost > 0:
			return fmt.Errorf("%d segments healthy, %d degraded, %d lost, %d pieces rebuilt", r.Healthy, r.Degraded, r.Lost, r.Rebuilt)
		default:
			s.tell("Repair rebuilt %d pieces on other nodes; all %d segments are whole again.", r.Rebuilt, r.Healthy)
			return nil
		}
	})
	s.tell("All the while the renter went on reading: %d photos, every one bit for bit, no error.", s.reads.Load())
	require.Zero(s, s.readErrors.Load())
	require.Positive(s, s.reads.Load())
}

// lie: a reporter posts a false root and loses its bond.
func (s *story) lie() {
	s.chapter("A reporter lies")
	const liar = 3
	require.NoError(s, s.network.Kill("reporter", liar, syscall.SIGTERM))
	account := s.account(fmt.Sprintf("reporter-%d", liar))
	before := s.reporter(account.Address)
	friend := s.devices()[0].ID
	s.tell("Reporter %d posts accounts in which %s earned ten times what it did.", liar, s.name(friend))
	stop := s.startLiar(liar, account, friend)
	var rejected report
	s.eventually("the watcher disputes the false root", func() error {
		for _, r := range s.reports() {
			if r.Status == "REPORT_STATUS_REJECTED" {
				rejected = r
				return nil
			}
		}
		if after := s.reporter(account.Address); after.Rejections > before.Rejections {
			return nil
		}
		return errors.New("nothing rejected yet")
	})
	stop()
	after := s.reporter(account.Address)
	require.Greater(s, number(after.Rejections), number(before.Rejections))
	require.Less(s, amount(after.Bond).Cmp(amount(before.Bond)), 0)
	s.tell("The watcher recomputed it, named the one leaf, and the chain replayed it: %s.", orElse(rejected.Rejected, "the leaf was false"))
	s.tell("The liar's bond fell from %s to %s; the watcher got its share.", cairn(before.Bond), cairn(after.Bond))

	epoch := s.epoch() - 2
	var audit string
	s.eventually("the honest root stands", func() (err error) {
		audit, err = s.try(s.gatewayHome(), "audit", fmt.Sprint(epoch))
		if err == nil && !strings.Contains(audit, "matches") {
			err = errors.New(audit)
		}
		return err
	})
	s.show(fmt.Sprintf("cairn audit %d", epoch), audit)
}

// vote: token holders double what every challenge asks for.
func (s *story) vote() {
	s.chapter("A vote")
	home := filepath.Join(s.TempDir(), "holder")
	require.NoError(s, os.Mkdir(home, 0o700))
	require.NoError(s, wallet.Create(filepath.Join(home, "wallet"), s.account("validator-0").Mnemonic, ""))
	s.show("cairn gov propose param", s.cairn(home, "gov", "propose", "param", fmt.Sprintf("storage.possession.positions=%d", positions), "--title", "Ask twice as much"))
	s.cairn(home, "gov", "vote", "1", "yes")
	s.eventually("the vote passes", func() error {
		if shown := s.cairn(home, "gov", "show", "1"); !strings.Contains(shown, "passed") {
			return errors.New("not passed yet")
		}
		return nil
	})
	s.show("cairn gov show 1", s.cairn(home, "gov", "show", "1"))
	s.eventually("devices pass challenges of twice the size", func() error {
		now := s.epoch()
		for _, d := range s.devices() {
			if c := s.challenge(d.ID); len(c.Positions) == positions && c.Proof != nil && c.Proof.Positions == positions {
				s.tell("Epoch %d: %s was asked for %d positions, and showed them.", now, s.name(d.ID), positions)
				return nil
			}
		}
		return errors.New("no such challenge passed yet")
	})
}

// ending: owners are paid, and the money adds up.
func (s *story) ending() {
	s.chapter("Who was paid")
	for i := range 3 {
		home := filepath.Join(s.home, "storage", fmt.Sprint(i))
		s.eventually("an owner claims", func() error {
			_, err := s.try(home, "claim")
			return err
		})
		s.show(fmt.Sprintf("cairn rewards (owner of %s)", fmt.Sprintf("storage-%d", i)), s.cairn(home, "rewards"))
	}
	s.tell("")
	s.tell("The end. Every figure above was read from the chain, and anyone could have.")
}

// renterReads reads photos at random until the story ends.
func (s *story) renterReads() {
	ctx, cancel := context.WithCancel(s.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		random := rand.New(rand.NewPCG(1, 2))
		dir := s.TempDir()
		for range time.Tick(500 * time.Millisecond) {
			name := fmt.Sprintf("photo-%02d.raw", random.IntN(files))
			back := filepath.Join(dir, "back")
			_, err := s.try(s.gatewayHome(), "get", "photos/"+name, back)
			if ctx.Err() != nil {
				return
			}
			want, _ := os.ReadFile(filepath.Join(s.files, name))
			got, _ := os.ReadFile(back)
			if err != nil || !bytes.Equal(want, got) {
				s.readErrors.Add(1)
				s.Logf("reading %s: %v", name, err)
				return
			}
			s.reads.Add(1)
			_ = os.Remove(back)
		}
	}()
	s.Cleanup(func() { cancel(); <-done })
}

// startLiar runs the reporter's own program on doctored facts.
func (s *story) startLiar(index int, account devnet.Account, friend uint64) (stop func()) {
	key, err := wallet.FromMnemonic(account.Mnemonic)
	require.NoError(s, err)
	chain, err := chainclient.New(chainclient.Config{Endpoint: s.network.Ready().GRPC, Account: key})
	require.NoError(s, err)
	liar, err := reporter.New(reporter.Config{
		Home: filepath.Join(s.home, fmt.Sprintf("reporter-%d", index), "lies"), Chain: doctored{chain, friend},
		Listen: "127.0.0.1:0", Poll: time.Second,
	})
	require.NoError(s, err)
	ctx, cancel := context.WithCancel(s.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = liar.Run(ctx) }()
	var once atomic.Bool
	stop = func() {
		if once.CompareAndSwap(false, true) {
			cancel()
			<-done
			_ = chain.Close()
		}
	}
	s.Cleanup(stop)
	return stop
}

// doctored is a chain whose facts flatter one device.
type doctored struct {
	reporter.Chain
	friend uint64
}

func (c doctored) Facts(ctx context.Context, service score.Service, epoch uint64) ([]score.Fact, error) {
	facts, err := c.Chain.Facts(ctx, service, epoch)
	for i := range facts {
		if facts[i].Device == c.friend {
			facts[i].Proved, facts[i].Leased = facts[i].Proved*10, facts[i].Leased*10
		}
	}
	return facts, err
}

var _ reporter.Chain = doctored{}

type story struct {
	*testing.T
	network *devnet.Network
	home    string // of the network
	bin     string
	files   string // the renter's folder

	reads, readErrors atomic.Int64
}

func (s *story) gatewayHome() string { return filepath.Join(s.home, "gateway") }
