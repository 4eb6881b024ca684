package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// safeDigits is how many digits every integer may have that a browser still reads exactly: JSON
// numbers become doubles there, whole up to 2^53 = 9,007,199,254,740,992, sixteen digits.
const safeDigits = 15

// quoteLargeIntegers turns every integer in a JSON text that a browser could round into a string,
// so that no figure of money or bytes is ever off by a rounding. The chain's REST writes 64-bit
// integers as strings already; daemons' status pages need not. It fails on anything but one JSON
// value.
func quoteLargeIntegers(raw []byte) ([]byte, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var value any
	if err := dec.Decode(&value); err != nil {
		return nil, fmt.Errorf("reading JSON: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("reading JSON: something follows the value")
	}
	return json.Marshal(quoteIn(value))
}

// quoteIn rewrites a decoded JSON value in place and returns it.
func quoteIn(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for key, inner := range v {
			v[key] = quoteIn(inner)
		}
	case []any:
		for i, inner := range v {
			v[i] = quoteIn(inner)
		}
	case json.Number:
		text := v.String()
		if len(strings.TrimPrefix(text, "-")) > safeDigits && !strings.ContainsAny(text, ".eE") {
			return text
		}
	}
	return value
}
