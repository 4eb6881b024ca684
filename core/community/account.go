package community

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"

	"github.com/cairn-network/cairn/core/meter"
	"github.com/cairn-network/cairn/core/price"
)

const (
	accountTag = 8
	nodeTag    = 9

	// AccountBytes is the size of an encoded account.
	AccountBytes = 8 + 8 + 5*8 + 16 + 16
	// NodeBytes is the size of an encoded node.
	NodeBytes = sha256.Size + 4 + 16 + 16
	// MaxAccounts is the most leaves of a tree.
	MaxAccounts = 1 << MaxDepth
	// MaxDepth bounds its proofs.
	MaxDepth = 12
)

// Append appends the account, numbers big-endian, registers in the order of meter.Registers.
func (a Account) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(a.ID))
	b = binary.BigEndian.AppendUint64(b, uint64(a.Hour))
	r := a.Closing
	for _, v := range []meter.MilliWattHours{r.Import, r.Export, r.Generation, r.StoredIn, r.StoredOut} {
		b = binary.BigEndian.AppendUint64(b, uint64(v))
	}
	return appendAmount(appendAmount(b, a.Earned), a.Owed)
}

func appendAmount(b []byte, a price.Amount) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, a.Hi), a.Lo)
}

func parseAmount(b []byte) price.Amount {
	return price.Amount{Hi: binary.BigEndian.Uint64(b), Lo: binary.BigEndian.Uint64(b[8:])}
}

// UnmarshalBinary reads what Append wrote and refuses all other bytes with ErrEncoding.
func (a *Account) UnmarshalBinary(b []byte) error {
	if len(b) != AccountBytes {
		return fmt.Errorf("reading account: %w: %d bytes, want %d", ErrEncoding, len(b), AccountBytes)
	}
	var r [5]meter.MilliWattHours
	for i := range r {
		v := binary.BigEndian.Uint64(b[16+8*i:])
		if v > math.MaxInt64 {
			return fmt.Errorf("reading account: %w: register of %d mWh", ErrEncoding, v)
		}
		r[i] = meter.MilliWattHours(v)
	}
	*a = Account{
		ID: AccountID(binary.BigEndian.Uint64(b)), Hour: meter.Hour(binary.BigEndian.Uint64(b[8:])),
		Closing: meter.Registers{Import: r[0], Export: r[1], Generation: r[2], StoredIn: r[3], StoredOut: r[4]},
		Earned:  parseAmount(b[56:]), Owed: parseAmount(b[72:]),
	}
	if err := a.Closing.Check(); err != nil {
		return fmt.Errorf("reading account: %w: %w", ErrEncoding, err)
	}
	return nil
}

// Accounts reads accounts one after the other; ErrEncoding.
func Accounts(b []byte) ([]Account, error) {
	if len(b)%AccountBytes != 0 || len(b) > AccountBytes*MaxAccounts {
		return nil, fmt.Errorf("reading accounts: %w: %d bytes", ErrEncoding, len(b))
	}
	all := make([]Account, len(b)/AccountBytes)
	for i := range all {
		if err := all[i].UnmarshalBinary(b[i*AccountBytes : (i+1)*AccountBytes]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Leaves reads leaves one after the other; ErrEncoding or meter.ErrLeaves.
func Leaves(b []byte) ([]meter.Leaf, error) {
	if len(b)%meter.LeafBytes != 0 || len(b) > meter.LeafBytes*MaxMembers {
		return nil, fmt.Errorf("reading leaves: %w: %d bytes", ErrEncoding, len(b))
	}
	all := make([]meter.Leaf, len(b)/meter.LeafBytes)
	for i := range all {
		if err := all[i].UnmarshalBinary(b[i*meter.LeafBytes : (i+1)*meter.LeafBytes]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Node is a subtree of accounts. The root of a tree is the node over all, zero if there are none.
type Node struct {
	Hash         [sha256.Size]byte
	Leaves       uint32
	Earned, Owed price.Amount
}

func (n Node) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(append(b, n.Hash[:]...), n.Leaves)
	return appendAmount(appendAmount(b, n.Earned), n.Owed)
}

// MarshalBinary gives hash, leaves, earned and owed, NodeBytes bytes.
func (n Node) MarshalBinary() ([]byte, error) { return n.append(make([]byte, 0, NodeBytes)), nil }

// UnmarshalBinary is the inverse of MarshalBinary; ErrEncoding.
func (n *Node) UnmarshalBinary(b []byte) error {
	if len(b) != NodeBytes {
		return fmt.Errorf("reading node: %w: %d bytes, want %d", ErrEncoding, len(b), NodeBytes)
	}
	*n = Node{Hash: [sha256.Size]byte(b), Leaves: binary.BigEndian.Uint32(b[32:]), Earned: parseAmount(b[36:]), Owed: parseAmount(b[52:])}
	return nil
}

func (a Account) node() Node {
	return Node{Hash: sha256.Sum256(a.Append([]byte{accountTag})), Leaves: 1, Earned: a.Earned, Owed: a.Owed}
}

// join gives the node above two; false if a sum overflows.
func join(l, r Node) (Node, bool) {
	earned, over := l.Earned.Add(r.Earned)
	owed, over2 := l.Owed.Add(r.Owed)
	n := Node{Hash: sha256.Sum256(r.append(l.append([]byte{nodeTag}))), Leaves: l.Leaves + r.Leaves, Earned: earned, Owed: owed}
	return n, !over && !over2 && l.Leaves <= MaxAccounts && r.Leaves <= MaxAccounts-l.Leaves
}

// leftOf is the number of leaves on the left of a tree of n > 1.
func leftOf(n int) int { return 1 << (bits.Len(uint(n-1)) - 1) }

// Tree is the accounts after an hour. It does not change.
type Tree struct {
	accounts []Account
	root     Node
}

// BuildAccounts is the tree of accounts, which must ascend by id and are kept; ErrInput.
func BuildAccounts(accounts []Account) (*Tree, error) {
	if len(accounts) > MaxAccounts {
		return nil, fmt.Errorf("%w: %d accounts, at most %d", ErrInput, len(accounts), MaxAccounts)
	}
	for i := 1; i < len(accounts); i++ {
		if accounts[i-1].ID >= accounts[i].ID {
			return nil, fmt.Errorf("%w: account %d after %d", ErrInput, accounts[i].ID, accounts[i-1].ID)
		}
	}
	t := &Tree{accounts: accounts}
	if len(accounts) == 0 {
		return t, nil
	}
	root, ok := over(accounts)
	if !ok {
		return nil, fmt.Errorf("%w: a sum overflows", ErrInput)
	}
	t.root = root
	return t, nil
}

// over is the node over some accounts, at least one.
func over(accounts []Account) (Node, bool) {
	if len(accounts) == 1 {
		return accounts[0].node(), true
	}
	left := leftOf(len(accounts))
	l, okLeft := over(accounts[:left])
	r, okRight := over(accounts[left:])
	n, ok := join(l, r)
	return n, ok && okLeft && okRight
}

// Root is the tree's root.
func (t *Tree) Root() Node { return t.root }

// Accounts are the tree's accounts, not to be changed.
func (t *Tree) Accounts() []Account { return t.accounts }

// Proof leads from an account to the root.
type Proof struct {
	Account Account
	Index   uint32
	// Siblings from the root downwards.
	Siblings []Node
}

// Prove gives the proof of an account; ErrProof if there is none of that id.
func (t *Tree) Prove(id AccountID) (Proof, error) {
	i, found := find(t.accounts, id)
	if !found {
		return Proof{}, fmt.Errorf("proving account %d: %w: there is none", id, ErrProof)
	}
	p := Proof{Account: t.accounts[i], Index: uint32(i)}
	for part, at := t.accounts, i; len(part) > 1; {
		left := leftOf(len(part))
		side := part[left:]
		if at < left {
			part = part[:left]
		} else {
			side, part, at = part[:left], part[left:], at-left
		}
		n, _ := over(side) // no sum overflows: the tree was built
		p.Siblings = append(p.Siblings, n)
	}
	return p, nil
}

// Verify checks that the account is under the root; ErrProof.
func (p Proof) Verify(root Node) error {
	if p.Index >= root.Leaves || root.Leaves > MaxAccounts {
		return fmt.Errorf("account %d of %d: %w", p.Index, root.Leaves, ErrProof)
	}
	n, ok := p.climb(int(p.Index), int(root.Leaves), p.Siblings)
	if !ok || n != root {
		return fmt.Errorf("account %d is not under root %x: %w", p.Account.ID, root.Hash[:6], ErrProof)
	}
	return nil
}

func (p Proof) climb(at, size int, siblings []Node) (Node, bool) {
	if size == 1 {
		return p.Account.node(), len(siblings) == 0
	}
	if len(siblings) == 0 {
		return Node{}, false
	}
	left := leftOf(size)
	if at < left {
		n, ok := p.climb(at, left, siblings[1:])
		up, fits := join(n, siblings[0])
		return up, ok && fits && int(siblings[0].Leaves) == size-left
	}
	n, ok := p.climb(at-left, size-left, siblings[1:])
	up, fits := join(siblings[0], n)
	return up, ok && fits && int(siblings[0].Leaves) == left
}

// MarshalBinary gives the account, its index (4 bytes), the number of siblings (1) and the siblings.
func (p Proof) MarshalBinary() ([]byte, error) {
	if len(p.Siblings) > MaxDepth {
		return nil, fmt.Errorf("encoding %d siblings, at most %d: %w", len(p.Siblings), MaxDepth, ErrProof)
	}
	b := append(binary.BigEndian.AppendUint32(p.Account.Append(nil), p.Index), byte(len(p.Siblings)))
	for _, s := range p.Siblings {
		b = s.append(b)
	}
	return b, nil
}

// UnmarshalBinary reads what MarshalBinary wrote and refuses all other bytes with ErrEncoding.
func (p *Proof) UnmarshalBinary(b []byte) error {
	const head = AccountBytes + 4 + 1
	if len(b) < head || b[head-1] > MaxDepth || len(b) != head+NodeBytes*int(b[head-1]) {
		return fmt.Errorf("reading proof: %w: %d bytes", ErrEncoding, len(b))
	}
	var q Proof
	if err := q.Account.UnmarshalBinary(b[:AccountBytes]); err != nil {
		return err
	}
	q.Index = binary.BigEndian.Uint32(b[AccountBytes:])
	for b = b[head:]; len(b) > 0; b = b[NodeBytes:] {
		var n Node
		if err := n.UnmarshalBinary(b[:NodeBytes]); err != nil {
			return err
		}
		q.Siblings = append(q.Siblings, n)
	}
	*p = q
	return nil
}

// Absence shows that there is no account of some id, by those between which it would stand.
type Absence struct {
	// Before is nil if it would be the first, After if it would be the last; both if there is none.
	Before, After *Proof
}

// ProveAbsent gives the absence of an account; ErrProof if there is one.
func (t *Tree) ProveAbsent(id AccountID) (Absence, error) {
	i, found := find(t.accounts, id)
	if found {
		return Absence{}, fmt.Errorf("proving that account %d is absent: %w: there is one", id, ErrProof)
	}
	var a Absence
	if i > 0 {
		p, err := t.Prove(t.accounts[i-1].ID)
		if err != nil {
			return a, err
		}
		a.Before = &p
	}
	if i < len(t.accounts) {
		p, err := t.Prove(t.accounts[i].ID)
		if err != nil {
			return a, err
		}
		a.After = &p
	}
	return a, nil
}

// Verify checks that no account under the root has that id, if the accounts ascend; ErrProof.
func (a Absence) Verify(root Node, id AccountID) error {
	for _, p := range []*Proof{a.Before, a.After} {
		if p != nil {
			if err := p.Verify(root); err != nil {
				return err
			}
		}
	}
	ok := false
	switch {
	case a.Before == nil && a.After == nil:
		ok = root == Node{}
	case a.Before == nil:
		ok = a.After.Index == 0 && id < a.After.Account.ID
	case a.After == nil:
		ok = a.Before.Index+1 == root.Leaves && a.Before.Account.ID < id
	default:
		ok = a.Before.Index+1 == a.After.Index && a.Before.Account.ID < id && id < a.After.Account.ID
	}
	if !ok {
		return fmt.Errorf("absence of account %d: %w: it may stand elsewhere", id, ErrProof)
	}
	return nil
}

// MarshalBinary gives one byte (1: an account before, 2: one after, 3: both), and their proofs, each
// after its length in 2 bytes.
func (a Absence) MarshalBinary() ([]byte, error) {
	b := []byte{0}
	for i, p := range []*Proof{a.Before, a.After} {
		if p == nil {
			continue
		}
		b[0] |= 1 << i
		encoded, err := p.MarshalBinary()
		if err != nil {
			return nil, err
		}
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(encoded))), encoded...)
	}
	return b, nil
}

// UnmarshalBinary is the inverse of MarshalBinary and refuses all other bytes with ErrEncoding.
func (a *Absence) UnmarshalBinary(b []byte) error {
	if len(b) == 0 || b[0] > 3 {
		return fmt.Errorf("reading absence: %w", ErrEncoding)
	}
	var q Absence
	has, rest := b[0], b[1:]
	for i, to := range []**Proof{&q.Before, &q.After} {
		if has&(1<<i) == 0 {
			continue
		}
		if len(rest) < 2 || len(rest)-2 < int(binary.BigEndian.Uint16(rest)) {
			return fmt.Errorf("reading absence: %w: %d bytes", ErrEncoding, len(b))
		}
		n := int(binary.BigEndian.Uint16(rest))
		*to = new(Proof)
		if err := (*to).UnmarshalBinary(rest[2 : 2+n]); err != nil {
			return err
		}
		rest = rest[2+n:]
	}
	if len(rest) != 0 {
		return fmt.Errorf("reading absence: %w: %d bytes too many", ErrEncoding, len(rest))
	}
	*a = q
	return nil
}
