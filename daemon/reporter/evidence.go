package reporter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cairn-network/cairn/core/report"
	"github.com/cairn-network/cairn/core/score"
)

// ErrEvidence is wrapped by a Source's errors about evidence that proves nothing.
var ErrEvidence = errors.New("evidence proves nothing")

// Witness is the evidence of one device in one epoch, for services that keep it off chain.
type Witness struct {
	Device uint64
	Bytes  []byte
}

// Source is where a service's evidence comes from, and what it proves. The chain judges it by the
// same rules (x/audit.Replayer).
type Source interface {
	// Evidence is all of an epoch that is over, ascending by device.
	Evidence(ctx context.Context, epoch uint64) ([]Witness, error)
	// Replay gives the fact that evidence proves; ErrEvidence.
	Replay(epoch, device uint64, evidence []byte) (score.Fact, error)
}

// known gives what there is to know of an epoch: its facts and, where they follow from evidence off
// chain, that of each fact. What proves nothing is left out, since the chain takes it for none.
func (l *ledger) known(ctx context.Context, service score.Service, epoch uint64) ([]score.Fact, []Witness, error) {
	source := l.sources[service]
	if source == nil {
		facts, err := l.chain.Facts(ctx, service, epoch)
		return facts, nil, err
	}
	all, err := source.Evidence(ctx, epoch)
	if err != nil {
		return nil, nil, fmt.Errorf("collecting evidence of %s in epoch %d: %w", service, epoch, err)
	}
	facts, witnesses := make([]score.Fact, 0, len(all)), make([]Witness, 0, len(all))
	for _, w := range all {
		f, err := source.Replay(epoch, w.Device, w.Bytes)
		switch {
		case errors.Is(err, ErrEvidence):
			continue
		case err != nil:
			return nil, nil, fmt.Errorf("judging evidence of device %d in epoch %d: %w", w.Device, epoch, err)
		case f.Device != w.Device:
			return nil, nil, fmt.Errorf("evidence of device %d in epoch %d: %w: it is of device %d", w.Device, epoch, report.ErrFacts, f.Device)
		}
		facts, witnesses = append(facts, f), append(witnesses, w)
	}
	return facts, witnesses, nil
}

// evidence of a device; nil where there is none, or facts are on chain.
func (e *Epoch) evidence(device uint64) []byte {
	i, found := slices.BinarySearchFunc(e.Evidence, device, func(w Witness, device uint64) int { return cmp.Compare(w.Device, device) })
	if !found {
		return nil
	}
	return e.Evidence[i].Bytes
}

// inputsOf gives the inputs of facts, or of the evidence that they follow from.
func inputsOf(facts []score.Fact, evidence []Witness) ([]report.Input, error) {
	if evidence == nil {
		return report.Inputs(facts)
	}
	inputs := make([]report.Input, len(evidence))
	for i, w := range evidence {
		inputs[i] = report.Digest(w.Device, w.Bytes)
	}
	return inputs, nil
}

// prove gives what a dispute brings beside the leaf where evidence is off chain: the device's input
// under the posted root, and its evidence. Only a report over the same inputs can be judged this way.
func (e *Epoch) prove(posted report.Statement, device uint64) (input, evidence []byte, err error) {
	if e.Evidence == nil {
		return nil, nil, nil
	}
	if posted.Inputs != e.Statement.Inputs {
		return nil, nil, fmt.Errorf("device %d: %w: the report is over other evidence than is known here", device, ErrUnavailable)
	}
	place, err := e.Inputs.Place(device)
	if err != nil {
		return nil, nil, err
	}
	input, err = place.MarshalBinary()
	return input, e.evidence(device), err
}
