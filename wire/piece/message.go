package piece

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/cairn-network/cairn/core/pass"
	"github.com/cairn-network/cairn/core/piece"
	"github.com/cairn-network/cairn/core/signature"
	"github.com/cairn-network/cairn/core/voucher"
)

// op is what a request asks for.
type op uint8

const (
	opPut       op = 1
	opGet       op = 2
	opDelete    op = 3
	opStat      op = 4
	opList      op = 5
	opChallenge op = 6
	opVoucher   op = 7
	opAsk       op = 8
	opInclusion op = 9
)

const (
	// MaxDelete is the most pieces that one request deletes.
	MaxDelete = 512
	// MaxList is the most pieces that one answer lists.
	MaxList = 512

	putSize     = 32 + 8 + 4
	getSize     = 32 + 4 + 4
	infoSize    = 32 + 4 + 8
	listedSize  = 32 + infoSize
	releaseSize = 32 + 64
	deleteSize  = 8 + MaxDelete*releaseSize
	maxMessage  = 300
)

// Hello is the first frame of a connection: for whom the client speaks, and to whom.
type Hello struct {
	Version uint16
	ChainID string
	Lease   uint64
	Device  uint64
	Time    time.Time // the client's clock, whole seconds
	// Peer, where Lease is 0, is the device that speaks for itself, to ask for what a beacon drew.
	Peer uint64
	// Pass, if there is one, lets the lease read what is stored under another.
	Pass *pass.Signed
}

// Terms are what a provider tells a client that it admitted.
type Terms struct {
	Version     uint16
	Time        time.Time       // the provider's clock, whole seconds
	MaxPiece    uint32          // largest piece taken, bytes
	Streams     uint32          // requests that may be open at once
	Window      uint32          // bytes that may be under way in each direction of each stream
	Credit      uint64          // bytes served unpaid before the provider waits for a voucher
	Served      uint64          // bytes served so far under this lease, as the provider counts
	LastVoucher *voucher.Signed // best voucher the provider holds, nil for none
}

// PutHeader is what a client says about a piece before its bytes.
type PutHeader struct {
	ID piece.ID
	// Expiry is Unix seconds after which the provider drops the piece; 0 keeps it as long as the lease.
	Expiry int64
	Size   uint32
}

// Info describes a stored piece.
type Info struct {
	Root   piece.Root
	Size   uint32
	Expiry int64 // Unix seconds, 0 for as long as the lease
}

// Listed is one piece of a list.
type Listed struct {
	ID piece.ID
	Info
}

// reader takes fields off the front of b; after the first one that is missing it returns zeros and
// remembers.
type reader struct {
	b     []byte
	short bool
}

func (r *reader) take(n int) []byte {
	if r.short || len(r.b) < n {
		r.short = true
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) u8() uint8 {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) u16() uint16 {
	if b := r.take(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (r *reader) u32() uint32 {
	if b := r.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (r *reader) u64() uint64 {
	if b := r.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (r *reader) hash() (h [32]byte) {
	copy(h[:], r.take(32))
	return h
}

func (r *reader) info() Info {
	return Info{Root: piece.Root(r.hash()), Size: r.u32(), Expiry: int64(r.u64())}
}

// end is the error for a message that was too short or has bytes left over.
func (r *reader) end(what string) error {
	if r.short {
		return Errorf(ErrProtocol, "%s is cut short", what)
	}
	if len(r.b) != 0 {
		return Errorf(ErrProtocol, "%s has %d bytes too many", what, len(r.b))
	}
	return nil
}

var le = binary.LittleEndian

func appendHello(b []byte, h Hello) []byte {
	b = le.AppendUint16(b, h.Version)
	b = le.AppendUint64(b, h.Lease)
	b = le.AppendUint64(b, h.Device)
	b = le.AppendUint64(b, uint64(h.Time.Unix()))
	b = append(b, byte(len(h.ChainID)))
	b = append(b, h.ChainID...)
	switch {
	case h.Lease == 0:
		b = le.AppendUint64(b, h.Peer)
	case h.Pass != nil:
		b = h.Pass.AppendBinary(b)
	}
	return b
}

func parseHello(b []byte) (Hello, error) {
	r := reader{b: b}
	h := Hello{Version: r.u16()}
	if !r.short && h.Version != Version {
		return h, Errorf(ErrVersion, "speaks version %d, want %d", h.Version, Version)
	}
	h.Lease, h.Device = r.u64(), r.u64()
	h.Time = time.Unix(int64(r.u64()), 0)
	h.ChainID = string(r.take(int(r.u8())))
	if r.short {
		return h, r.end("hello")
	}
	if err := signature.CheckChainID(h.ChainID); err != nil {
		return h, Errorf(ErrProtocol, "hello: %v", err)
	}
	if h.Lease == 0 {
		if h.Peer = r.u64(); h.Peer == 0 && !r.short {
			return h, Errorf(ErrProtocol, "hello: neither a lease nor a peer")
		}
		return h, r.end("hello")
	}
	if len(r.b) > 0 {
		p, err := pass.Parse(r.b, h.ChainID, h.Lease)
		if err != nil {
			return h, Errorf(ErrProtocol, "hello: %v", err)
		}
		h.Pass = &p
	}
	return h, nil
}

func appendTerms(b []byte, t Terms) ([]byte, error) {
	b = le.AppendUint16(b, t.Version)
	b = le.AppendUint64(b, uint64(t.Time.Unix()))
	b = le.AppendUint32(b, t.MaxPiece)
	b = le.AppendUint32(b, t.Streams)
	b = le.AppendUint32(b, t.Window)
	b = le.AppendUint64(b, t.Credit)
	b = le.AppendUint64(b, t.Served)
	if t.LastVoucher == nil {
		return b, nil
	}
	v, err := t.LastVoucher.MarshalBinary()
	if err != nil {
		return nil, err
	}
	return append(b, v...), nil
}

func parseTerms(b []byte) (Terms, error) {
	r := reader{b: b}
	t := Terms{
		Version: r.u16(), Time: time.Unix(int64(r.u64()), 0), MaxPiece: r.u32(), Streams: r.u32(),
		Window: r.u32(), Credit: r.u64(), Served: r.u64(),
	}
	switch {
	case r.short:
		return t, r.end("welcome")
	case t.Version != Version:
		return t, Errorf(ErrVersion, "provider speaks version %d, want %d", t.Version, Version)
	case t.Window < DataSize:
		return t, Errorf(ErrProtocol, "window of %d bytes, at least %d", t.Window, DataSize)
	case t.Streams == 0:
		return t, Errorf(ErrProtocol, "provider takes no requests")
	}
	if len(r.b) > 0 {
		t.LastVoucher = new(voucher.Signed)
		if err := t.LastVoucher.UnmarshalBinary(r.b); err != nil {
			return t, Errorf(ErrProtocol, "welcome: %v", err)
		}
	}
	return t, nil
}

func appendPut(b []byte, h PutHeader) []byte {
	b = append(b, byte(opPut))
	b = append(b, h.ID[:]...)
	b = le.AppendUint64(b, uint64(h.Expiry))
	return le.AppendUint32(b, h.Size)
}

// request is a parsed request. Which fields hold is up to op.
type request struct {
	op     op
	put    PutHeader
	inline []byte   // put: the whole piece, when it came along
	id     piece.ID // get, stat, challenge, inclusion; list: the id to go on after
	off, n uint32   // get: range; list: n is the limit; challenge: off is the chunk; ask: off is the index
	epoch  uint64   // ask, inclusion
	signed voucher.Signed
	// releases of a delete: id, until and signature; what they are bound to is the connection's.
	releases []piece.SignedRelease
}

// parseRequest keeps a reference to b in inline.
func parseRequest(b []byte) (request, error) {
	r := reader{b: b}
	q := request{op: op(r.u8())}
	switch q.op {
	case opPut:
		q.put = PutHeader{ID: piece.ID(r.hash()), Expiry: int64(r.u64()), Size: r.u32()}
		if r.short {
			break
		}
		if q.put.Size == 0 {
			return q, errNothing(q.put.ID)
		}
		if len(r.b) > 0 && uint64(len(r.b)) != uint64(q.put.Size) {
			return q, Errorf(ErrProtocol, "put of %d bytes brings %d", q.put.Size, len(r.b))
		}
		q.inline, r.b = r.b, nil
	case opGet:
		q.id, q.off, q.n = piece.ID(r.hash()), r.u32(), r.u32()
	case opDelete:
		until := int64(r.u64())
		if len(r.b)%releaseSize != 0 || len(r.b) > MaxDelete*releaseSize {
			return q, Errorf(ErrProtocol, "delete with releases of %d bytes, want at most %d of %d", len(r.b), MaxDelete, releaseSize)
		}
		q.releases = make([]piece.SignedRelease, len(r.b)/releaseSize)
		for i := range q.releases {
			q.releases[i].ID, q.releases[i].Until = piece.ID(r.hash()), until
			copy(q.releases[i].Signature[:], r.take(len(q.releases[i].Signature)))
		}
	case opStat:
		q.id = piece.ID(r.hash())
	case opList:
		q.id, q.n = piece.ID(r.hash()), r.u32()
	case opChallenge:
		q.id, q.off = piece.ID(r.hash()), r.u32()
	case opAsk:
		q.epoch, q.off = r.u64(), r.u32()
	case opInclusion:
		q.id, q.epoch = piece.ID(r.hash()), r.u64()
	case opVoucher:
		if err := q.signed.UnmarshalBinary(r.b); err != nil {
			return q, Errorf(ErrBadVoucher, "%v", err)
		}
		r.b = nil
	default:
		return q, Errorf(ErrProtocol, "unknown request %d", q.op)
	}
	return q, r.end("request")
}

// errNothing refuses a piece without bytes: no challenge could ever ask for it.
func errNothing(id piece.ID) error { return Errorf(ErrBadRequest, "piece %s has no bytes", id) }

func appendInfo(b []byte, i Info) []byte {
	b = append(b, i.Root[:]...)
	b = le.AppendUint32(b, i.Size)
	return le.AppendUint64(b, uint64(i.Expiry))
}

func parseInfo(b []byte) (Info, []byte, error) {
	r := reader{b: b}
	i := r.info()
	if r.short {
		return i, nil, r.end("description of a piece")
	}
	return i, r.b, nil
}

func appendList(b []byte, l []Listed, more bool) []byte {
	var flag byte
	if more {
		flag = 1
	}
	b = append(b, flag)
	for i := range l {
		b = append(b, l[i].ID[:]...)
		b = appendInfo(b, l[i].Info)
	}
	return b
}

func parseList(b []byte) (l []Listed, more bool, err error) {
	r := reader{b: b}
	flag := r.u8()
	if flag > 1 || len(r.b)%listedSize != 0 || len(r.b)/listedSize > MaxList {
		return nil, false, Errorf(ErrProtocol, "list of %d bytes, want entries of %d", len(r.b), listedSize)
	}
	l = make([]Listed, len(r.b)/listedSize)
	for i := range l {
		l[i] = Listed{ID: piece.ID(r.hash()), Info: r.info()}
	}
	return l, flag == 1, r.end("list")
}

// appendError writes an error as the payload of a response or goaway; code 0 never.
func appendError(b []byte, err error) []byte {
	code := CodeOf(err)
	b = le.AppendUint16(b, uint16(code))
	// What an internal error says concerns the operator of the provider, not its clients.
	if e, ok := asError(err); ok && code != ErrInternal {
		b = append(b, e.Message[:min(len(e.Message), maxMessage)]...)
	}
	return b
}

// parseResponse splits a response into its body, or the error it is.
func parseResponse(b []byte) (body []byte, err error) {
	r := reader{b: b}
	code := Code(r.u16())
	switch {
	case r.short:
		return nil, r.end("response")
	case code == 0:
		return r.b, nil
	case len(r.b) > maxMessage:
		return nil, Errorf(ErrProtocol, "error message of %d bytes, at most %d", len(r.b), maxMessage)
	}
	// The message is the other side's; %q keeps it from playing tricks on a terminal.
	if len(r.b) == 0 {
		return nil, &Error{Code: code}
	}
	return nil, &Error{Code: code, Message: fmt.Sprintf("%q", r.b)}
}

// Demand is a provider's bill: what it served so far and what of that is paid.
type Demand struct {
	Served uint64 // bytes, cumulative
	Paid   uint64 // units of the best voucher it holds
}

func appendDemand(b []byte, d Demand) []byte {
	b = le.AppendUint64(b, d.Served)
	return le.AppendUint64(b, d.Paid)
}

func parseDemand(b []byte) (Demand, error) {
	r := reader{b: b}
	d := Demand{Served: r.u64(), Paid: r.u64()}
	return d, r.end("demand")
}
