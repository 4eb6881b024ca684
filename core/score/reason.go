package score

import "fmt"

// Reason says why a device got what it got. Numbers are part of a report's leaves: a number once
// given keeps its meaning for ever.
type Reason uint16

// The reasons, in the order in which the rules look for them. Only Paid goes with money.
const (
	Paid Reason = iota
	NoFact
	DeviceBanned
	NotPermitted
	DeviceJailed
	FailedProof
	ProvenFault
	MissedChallenge
	TooNew
	NothingProved
	NotLeased
	TooSmall
	// Points, but nothing to share.
	NoStake
	PoolEmpty

	reasonCount
)

// reasonTexts has a name for programs and a sentence for people.
var reasonTexts = [reasonCount]struct{ name, text string }{
	Paid:            {"paid", "The device did its work and was paid."},
	NoFact:          {"no-fact", "Nothing was recorded of the device in this epoch: no proof and no payment by a customer."},
	DeviceBanned:    {"banned", "The device is banned. Its owner may appeal."},
	NotPermitted:    {"not-permitted", "The rules of the device's region ask for a credential that it does not have."},
	DeviceJailed:    {"jailed", "The device was jailed for an earlier fault. The term ends by itself."},
	FailedProof:     {"failed-proof", "The device answered a challenge wrongly: it does not hold what it said it holds."},
	ProvenFault:     {"proven-fault", "Somebody proved a fault of the device on chain."},
	MissedChallenge: {"missed-challenge", "The device was challenged and did not answer in time."},
	TooNew:          {"too-new", "The device committed to its first data in this epoch. Challenges, and pay, begin with the next."},
	NothingProved:   {"nothing-proved", "The device has not proved that it holds any data."},
	NotLeased:       {"not-leased", "Nobody had leased anything of the device. Lower its price, or wait for customers."},
	TooSmall:        {"too-small", "What the device proved and had leased is less than one unit of 64 KiB."},
	NoStake:         {"no-stake", "The device earned points, but nobody paid for its use in this epoch and it has no bond, which is what the bootstrap pool pays on."},
	PoolEmpty:       {"pool-empty", "The device earned points, but its share of the epoch's pools is less than the smallest unit of money."},
}

// Valid says whether the number is a reason's.
func (r Reason) Valid() bool { return r < reasonCount }

// String is the reason's name.
func (r Reason) String() string {
	if r.Valid() {
		return reasonTexts[r].name
	}
	return fmt.Sprintf("reason %d", uint16(r))
}

// Text says to the device's owner what happened and what to do about it.
func (r Reason) Text() string {
	if r.Valid() {
		return reasonTexts[r].text
	}
	return fmt.Sprintf("Reason %d is unknown to this program: a newer version may know it.", uint16(r))
}
