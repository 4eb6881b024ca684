// Package exactjson reads JSON (RFC 8259) for rules that must give the same answer everywhere: no
// floats, no case folding, no silent repair.
//
// A number stays the decimal it was written as; a name stands once in its object; text is valid
// UTF-8; depth and count of values are bounded. What encoding/json would resolve in one of several
// ways (repeated names, names that differ by case, lone surrogates) is refused instead, so that what
// one reader was shown is what another is charged for.
package exactjson

import (
	"errors"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// MaxDepth is how deep arrays and objects may nest, MaxValues how many values a text may hold,
// MaxMembers how many names one object may have.
const (
	MaxDepth   = 16
	MaxValues  = 4096
	MaxMembers = 128
)

// ErrSyntax is wrapped by errors about text that is not one JSON value within the bounds.
var ErrSyntax = errors.New("invalid JSON")

// Kind says which field of a Value counts.
type Kind uint8

// The kinds of values. Missing is the kind of what an object does not have.
const (
	Missing Kind = iota
	Null
	Bool
	Number
	String
	Array
	Object
)

var kindNames = [...]string{"nothing", "null", "a boolean", "a number", "text", "a list", "an object"}

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Value is one JSON value. The zero value is Missing.
type Value struct {
	Kind Kind
	// True is the value of a Bool.
	True bool
	// Text is the content of a String, or a Number as it was written.
	Text string
	// Items are an Array's, in order; Members an Object's, as they were written.
	Items   []Value
	Members []Member
}

// Member is one name of an object and its value.
type Member struct {
	Name  string
	Value Value
}

// Get returns the member called name, by exact spelling; Missing if there is none or v is no object.
func (v Value) Get(name string) Value {
	for i := range v.Members {
		if v.Members[i].Name == name {
			return v.Members[i].Value
		}
	}
	return Value{}
}

// Parse reads exactly one value, with nothing but white space around it. ErrSyntax says where and why.
func Parse(text []byte) (Value, error) {
	v, rest, err := ParsePrefix(text)
	if err != nil {
		return Value{}, err
	}
	p := parser{text: text, at: len(text) - len(rest)}
	if p.space(); p.at < len(text) {
		return Value{}, p.bad("ends, and more follows")
	}
	return v, nil
}

// ParsePrefix reads one value at the beginning of text and returns what follows it.
func ParsePrefix(text []byte) (v Value, rest []byte, err error) {
	p := parser{text: text}
	v, err = p.value(0)
	if err != nil {
		return Value{}, nil, err
	}
	return v, text[p.at:], nil
}

type parser struct {
	text   []byte
	at     int
	values int
}

func (p *parser) bad(format string, args ...any) error {
	return fmt.Errorf("%w: at byte %d: %s", ErrSyntax, p.at, fmt.Sprintf(format, args...))
}

func (p *parser) space() {
	for p.at < len(p.text) {
		switch p.text[p.at] {
		case ' ', '\t', '\n', '\r':
			p.at++
		default:
			return
		}
	}
}

// peek returns the next byte, 0 at the end (which is no byte of JSON outside of text).
func (p *parser) peek() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

func (p *parser) value(depth int) (Value, error) {
	if depth > MaxDepth {
		return Value{}, p.bad("nests deeper than %d", MaxDepth)
	}
	if p.values++; p.values > MaxValues {
		return Value{}, p.bad("has more than %d values", MaxValues)
	}
	p.space()
	switch c := p.peek(); {
	case c == '{':
		return p.object(depth)
	case c == '[':
		return p.array(depth)
	case c == '"':
		text, err := p.string()
		return Value{Kind: String, Text: text}, err
	case c == '-' || c >= '0' && c <= '9':
		return p.number()
	case c == 't':
		return Value{Kind: Bool, True: true}, p.word("true")
	case c == 'f':
		return Value{Kind: Bool}, p.word("false")
	case c == 'n':
		return Value{Kind: Null}, p.word("null")
	case p.at >= len(p.text):
		return Value{}, p.bad("ends where a value should stand")
	default:
		return Value{}, p.bad("has %q where a value should stand", c)
	}
}

func (p *parser) word(w string) error {
	if len(p.text)-p.at < len(w) || string(p.text[p.at:p.at+len(w)]) != w {
		return p.bad("has a word that is not true, false or null")
	}
	p.at += len(w)
	return nil
}

func (p *parser) array(depth int) (Value, error) {
	v := Value{Kind: Array}
	p.at++ // [
	if p.space(); p.peek() == ']' {
		p.at++
		return v, nil
	}
	for {
		item, err := p.value(depth + 1)
		if err != nil {
			return Value{}, err
		}
		v.Items = append(v.Items, item)
		p.space()
		switch p.peek() {
		case ',':
			p.at++
		case ']':
			p.at++
			return v, nil
		default:
			return Value{}, p.bad("lacks , or ] in a list")
		}
	}
}

func (p *parser) object(depth int) (Value, error) {
	v := Value{Kind: Object}
	p.at++ // {
	if p.space(); p.peek() == '}' {
		p.at++
		return v, nil
	}
	for {
		if p.space(); p.peek() != '"' {
			return Value{}, p.bad("lacks a name in an object")
		}
		name, err := p.string()
		if err != nil {
			return Value{}, err
		}
		if len(v.Members) == MaxMembers {
			return Value{}, p.bad("has an object with more than %d names", MaxMembers)
		}
		if v.Get(name).Kind != Missing {
			return Value{}, p.bad("has the name %.40q twice", name)
		}
		if p.space(); p.peek() != ':' {
			return Value{}, p.bad("lacks : after the name %.40q", name)
		}
		p.at++
		member, err := p.value(depth + 1)
		if err != nil {
			return Value{}, err
		}
		v.Members = append(v.Members, Member{name, member})
		p.space()
		switch p.peek() {
		case ',':
			p.at++
		case '}':
			p.at++
			return v, nil
		default:
			return Value{}, p.bad("lacks , or } in an object")
		}
	}
}

// number reads a number of RFC 8259 section 6 and keeps its spelling.
func (p *parser) number() (Value, error) {
	start := p.at
	if p.peek() == '-' {
		p.at++
	}
	whole := p.digits()
	if whole == 0 || whole > 1 && p.text[p.at-whole] == '0' {
		return Value{}, p.bad("has a number with no or needless leading digits")
	}
	if p.peek() == '.' {
		p.at++
		if p.digits() == 0 {
			return Value{}, p.bad("has a number without digits after its point")
		}
	}
	if c := p.peek(); c == 'e' || c == 'E' {
		p.at++
		if c := p.peek(); c == '+' || c == '-' {
			p.at++
		}
		if p.digits() == 0 {
			return Value{}, p.bad("has a number without digits in its exponent")
		}
	}
	return Value{Kind: Number, Text: string(p.text[start:p.at])}, nil
}

// digits skips decimal digits and returns how many there were.
func (p *parser) digits() int {
	start := p.at
	for c := p.peek(); c >= '0' && c <= '9'; c = p.peek() {
		p.at++
	}
	return p.at - start
}

func (p *parser) string() (string, error) {
	p.at++ // "
	start := p.at
	for p.at < len(p.text) && p.text[p.at] != '"' && p.text[p.at] != '\\' && p.text[p.at] >= ' ' {
		p.at++
	}
	if p.peek() == '"' { // the common case: nothing escaped
		return p.finish(p.text[start:p.at])
	}
	out := append([]byte(nil), p.text[start:p.at]...)
	for p.at < len(p.text) {
		switch c := p.text[p.at]; {
		case c == '"':
			return p.finish(out)
		case c < ' ':
			return "", p.bad("has the control character %#02x in text", c)
		case c != '\\':
			out = append(out, c)
			p.at++
		default:
			r, err := p.escape()
			if err != nil {
				return "", err
			}
			out = utf8.AppendRune(out, r)
		}
	}
	return "", p.bad("ends within text")
}

func (p *parser) finish(text []byte) (string, error) {
	if !utf8.Valid(text) {
		return "", p.bad("has text that is not UTF-8")
	}
	p.at++ // "
	return string(text), nil
}

// escape reads one escape of RFC 8259 section 7; a surrogate must have its other half.
func (p *parser) escape() (rune, error) {
	p.at++ // \
	c := p.peek()
	p.at++
	switch c {
	case '"', '\\', '/':
		return rune(c), nil
	case 'b':
		return '\b', nil
	case 'f':
		return '\f', nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case 'u':
		r, err := p.hex4()
		if err != nil || !utf16.IsSurrogate(r) {
			return r, err
		}
		if p.peek() == '\\' && p.at+1 < len(p.text) && p.text[p.at+1] == 'u' {
			p.at += 2
			low, err := p.hex4()
			if err != nil {
				return 0, err
			}
			if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
				return r, nil
			}
		}
		return 0, p.bad("has half a surrogate pair")
	default:
		p.at--
		return 0, p.bad("has an unknown escape")
	}
}

func (p *parser) hex4() (rune, error) {
	var r rune
	for range 4 {
		c := p.peek()
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, p.bad("lacks a hexadecimal digit in an escape")
		}
		p.at++
	}
	return r, nil
}
