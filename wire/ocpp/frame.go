package ocpp

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// Bounds on what a peer sends.
const (
	// MaxFrame is how many bytes a frame may have. Certificates and reports of 2.0.1 are the largest.
	MaxFrame = 128 << 10
	// MaxDepth is how deep arrays and objects may nest; the deepest message of 2.0.1 needs 8.
	MaxDepth = 16
	// MaxID is how long a call's id may be. The standard says 36; some stations send more.
	MaxID = 128
	// maxAction is how long a call's name may be; the longest of 2.0.1 has 33 letters.
	maxAction = 64
)

// Kind is a frame's first element.
type Kind int

// Kinds of frames.
const (
	KindCall   Kind = 2
	KindResult Kind = 3
	KindError  Kind = 4
)

// Frame is one message on the wire.
type Frame struct {
	Kind Kind
	// ID is the call's id as its text, without quotes.
	ID string
	// Action names a call.
	Action string
	// Payload is a call's or an answer's object; it aliases what was parsed.
	Payload json.RawMessage
	// Err is a refusal.
	Err *Error
}

// ErrFrame says that bytes are no frame; ParseFrame wraps it with what was wrong.
var ErrFrame = errors.New("no OCPP-J frame")

// ParseFrame reads one frame. On an error the frame still carries the id when that could be read, so that the
// caller can refuse the call. Only the frame's shape is checked, not the payload's syntax inside it.
func ParseFrame(b []byte) (Frame, error) {
	var f Frame
	if len(b) > MaxFrame {
		return f, fmt.Errorf("%w: %d bytes, at most %d are taken", ErrFrame, len(b), MaxFrame)
	}
	elements, n, broken := split(b)
	if n >= 2 { // whose call it is may be readable although the rest is not
		kind, err := strconv.Atoi(text(elements[0]))
		if err != nil || kind < int(KindCall) || kind > int(KindError) {
			return f, fmt.Errorf("%w: message type %.20q", ErrFrame, elements[0])
		}
		id := text(elements[1])
		if id == "" || len(id) > MaxID {
			return f, fmt.Errorf("%w: an id of %d characters, 1 to %d are taken", ErrFrame, len(id), MaxID)
		}
		f.Kind, f.ID = Kind(kind), id
	}
	if broken != nil {
		return f, fmt.Errorf("%w: %w", ErrFrame, broken)
	}
	if n < 3 {
		return f, fmt.Errorf("%w: an array of %d elements", ErrFrame, n)
	}
	switch f.Kind {
	case KindCall:
		f.Action = text(elements[2])
		if f.Action == "" || len(f.Action) > maxAction {
			return f, fmt.Errorf("%w: action %.80q", ErrFrame, elements[2])
		}
		f.Payload = payload(elements, n, 3)
	case KindResult:
		f.Payload = payload(elements, n, 2)
	case KindError:
		f.Err = &Error{Code: Code(text(elements[2]))}
		if n > 3 {
			f.Err.Description = text(elements[3])
		}
		if n > 4 {
			f.Err.Details = elements[4]
		}
	}
	return f, nil
}

// maxElements is how many elements of a frame are looked at; more are counted and left alone.
const maxElements = 5

func payload(elements [maxElements][]byte, n, at int) json.RawMessage {
	if n <= at {
		return nil
	}
	return elements[at]
}

// text is a JSON string's content, or a bare number as it stands; "" for anything else.
func text(raw []byte) string {
	if len(raw) == 0 {
		return ""
	}
	switch c := raw[0]; {
	case c == '"':
		plain := raw[1 : len(raw)-1]
		for _, c := range plain {
			if c == '\\' || c < ' ' || c >= 0x80 {
				var s string
				if json.Unmarshal(raw, &s) != nil {
					return ""
				}
				return s
			}
		}
		return string(plain)
	case c == '-' || c >= '0' && c <= '9':
		return string(raw)
	}
	return ""
}

// AppendCall appends a call's frame to dst; payload is JSON.
func AppendCall(dst []byte, id, action string, payload []byte) []byte {
	dst = append(dst, `[2,`...)
	dst = appendString(dst, id)
	dst = append(dst, ',')
	dst = appendString(dst, action)
	dst = append(dst, ',')
	dst = append(dst, payload...)
	return append(dst, ']')
}

// AppendResult appends an answer's frame to dst; payload is JSON.
func AppendResult(dst []byte, id string, payload []byte) []byte {
	dst = append(dst, `[3,`...)
	dst = appendString(dst, id)
	dst = append(dst, ',')
	dst = append(dst, payload...)
	return append(dst, ']')
}

// AppendError appends a refusal's frame to dst.
func AppendError(dst []byte, id string, e *Error) []byte {
	dst = append(dst, `[4,`...)
	dst = appendString(dst, id)
	dst = append(dst, ',')
	dst = appendString(dst, string(e.Code))
	dst = append(dst, ',')
	dst = appendString(dst, clip(e.Description, maxDescription))
	dst = append(dst, ',')
	if len(e.Details) == 0 {
		dst = append(dst, `{}`...)
	} else {
		dst = append(dst, e.Details...)
	}
	return append(dst, ']')
}

func appendString(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= 0x7f {
			quoted, err := json.Marshal(s)
			if err != nil { // a string always marshals
				return append(dst, `""`...)
			}
			return append(dst, quoted...)
		}
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}

// clip cuts s to at most n bytes at the start of a character.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n]
}
