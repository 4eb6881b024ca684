// Package meterfile finds signed meter records in the files people have: records as text, JSON as
// the Open Charge Alliance wraps them, XML as SAFE's transparency software reads it, lines of OCPP
// logs.
//
// What it finds it neither reads nor judges: that is core/ocmf's.
package meterfile

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/cairn-network/cairn/core/exactjson"
)

// MaxFile is the largest file that is read, MaxItems how many records one may hold.
const (
	MaxFile  = 64 << 20
	MaxItems = 100_000
)

var (
	// ErrNothing is returned for files without any record.
	ErrNothing = errors.New("no signed meter record found")
	// ErrTooLarge is returned for files beyond MaxFile or MaxItems.
	ErrTooLarge = errors.New("file too large")
)

// Item is one record as it was found.
type Item struct {
	// Where is its place in the file for people, "value 3" or "line 12".
	Where string
	// Text is the record in its packaging (ocmf.Unpack reads it).
	Text string
	// Key is the public key that a file made for checking has beside it, as text; EmbeddedKey one that
	// the charge point sent along with the record, which proves nothing. "" if there was none.
	Key, EmbeddedKey string
	// Transaction and Context are what SAFE's XML says of it.
	Transaction, Context string
	// Format is a format other than OCMF that the file says the record has.
	Format string
}

// Read returns the records of a file in order. ErrNothing if there are none; errors of XML are those
// of encoding/xml.
func Read(data []byte) ([]Item, error) {
	if len(data) > MaxFile {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are read", ErrTooLarge, len(data), MaxFile)
	}
	data = bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\ufeff")))
	var items []Item
	var err error
	if bytes.HasPrefix(data, []byte("<")) {
		items, err = readXML(data)
	} else {
		items = readText(data)
	}
	switch {
	case err != nil:
		return nil, err
	case len(items) == 0:
		return nil, ErrNothing
	case len(items) > MaxItems:
		return nil, fmt.Errorf("%w: %d records, at most %d are read", ErrTooLarge, len(items), MaxItems)
	}
	return items, nil
}

// readXML reads <values> of <value transactionId context> with <signedData> or <encodedData> and
// <publicKey> (SAFE, XML_Format.md), and loose <signedData> without any of that around.
func readXML(data []byte) ([]Item, error) {
	d := xml.NewDecoder(bytes.NewReader(data))
	d.Strict = false
	d.CharsetReader = latin1
	var items []Item
	var transaction, context, key string
	begin, values := 0, 0 // the first item of this <value>, and how many there were
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return items, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading XML: %w", err)
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		switch start.Name.Local {
		case "values", "value":
			transaction, context = or(attribute(start, "transactionId"), transaction), or(attribute(start, "context"), context)
			if start.Name.Local == "value" {
				values++
				begin, key = len(items), ""
			}
		case "signedData", "encodedData":
			text, err := content(d)
			if err != nil {
				return nil, err
			}
			item := Item{Text: text, Key: key, Transaction: or(transaction, attribute(start, "transactionId")), Context: context}
			if item.Where = fmt.Sprintf("value %d", values); values == 0 {
				item.Where = fmt.Sprintf("signedData %d", len(items)+1)
			}
			if format := attribute(start, "format"); !strings.EqualFold(format, "OCMF") {
				item.Format = format
			}
			if strings.TrimSpace(text) != "" {
				items = append(items, item)
			}
		case "publicKey":
			text, err := content(d)
			if err != nil {
				return nil, err
			}
			key = strings.TrimSpace(text)
			for i := begin; i < len(items); i++ {
				items[i].Key = key
			}
		}
	}
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func attribute(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// content returns an element's text, up to its end.
func content(d *xml.Decoder) (string, error) {
	var text strings.Builder
	for depth := 1; ; {
		token, err := d.Token()
		if err != nil {
			return "", fmt.Errorf("reading XML: %w", err)
		}
		switch token := token.(type) {
		case xml.CharData:
			text.Write(token)
		case xml.StartElement:
			depth++
		case xml.EndElement:
			if depth--; depth == 0 {
				return text.String(), nil
			}
		}
	}
}

// latin1 reads what is not declared as UTF-8 byte by byte, which is ISO 8859-1 and, for the ASCII that
// records are made of, every other code page too.
func latin1(_ string, r io.Reader) (io.Reader, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	runes := make([]rune, len(data))
	for i, b := range data {
		runes[i] = rune(b)
	}
	return strings.NewReader(string(runes)), nil
}

// readText reads records as text anywhere in the file, and JSON in whole or line by line.
func readText(data []byte) []Item {
	var root any
	if json.Unmarshal(data, &root) == nil {
		return walk(nil, "", root)
	}
	var items []Item
	for line := 1; len(data) > 0; {
		text, rest, _ := bytes.Cut(data, []byte("\n"))
		switch found, size := plain(data[:], len(text)); {
		case size > 0: // a record that begins on this line, and may go on below it
			found.Where = fmt.Sprintf("line %d", line)
			items = append(items, found)
			line += bytes.Count(data[:size], []byte("\n"))
			data = data[size:]
			continue
		default:
			items = fromLine(items, line, text)
		}
		line++
		data = rest
	}
	return items
}

// plain finds the first record that begins within the first width bytes, and returns how many bytes
// lead to its end; 0 if there is none.
func plain(data []byte, width int) (Item, int) {
	const header = "OCMF|"
	for from := 0; from < width; {
		i := bytes.Index(data[from:min(width, len(data))], []byte(header))
		if i < 0 {
			return Item{}, 0
		}
		from += i
		if end := record(data[from:]); end > 0 {
			return Item{Text: string(data[from : from+end])}, from + end
		}
		from += len(header)
	}
	return Item{}, 0
}

// record returns the length of the record that data begins with; 0 if there is none whole.
func record(data []byte) int {
	data = data[:min(len(data), 1<<16)]
	_, rest, err := exactjson.ParsePrefix(data[len("OCMF|"):])
	if err != nil {
		return 0
	}
	rest, ok := bytes.CutPrefix(bytes.TrimLeft(rest, " \t\r\n"), []byte("|"))
	if !ok {
		return 0
	}
	if _, rest, err = exactjson.ParsePrefix(rest); err != nil {
		return 0
	}
	return len(data) - len(rest)
}

// maxTries is how many brackets of a line are tried as the begin of JSON: logs put a few of their own
// in front.
const maxTries = 32

// fromLine reads a line of a log: JSON from its first bracket on, or a word in hex or base64.
func fromLine(items []Item, line int, text []byte) []Item {
	where := fmt.Sprintf("line %d", line)
	before := len(items)
	for i, tries := 0, 0; i < len(text) && tries < maxTries; i++ {
		if text[i] != '[' && text[i] != '{' {
			continue
		}
		tries++
		var root any
		if json.NewDecoder(bytes.NewReader(text[i:])).Decode(&root) == nil {
			if items = walk(items, where, root); len(items) > before {
				return items
			}
		}
	}
	for _, word := range bytes.Fields(text) {
		if packed(string(word)) {
			items = append(items, Item{Where: where, Text: string(word)})
		}
	}
	if len(items) == before && bytes.Contains(text, []byte("OCMF|")) { // a broken one is said to be, not left out
		i := bytes.Index(text, []byte("OCMF|"))
		items = append(items, Item{Where: where, Text: string(text[i:])})
	}
	return items
}

// packed tells whether text is a record in one of its packagings.
func packed(text string) bool {
	return strings.HasPrefix(text, "OCMF|") || strings.HasPrefix(text, "T0NNR") ||
		len(text) >= 10 && strings.EqualFold(text[:10], "4f434d467c")
}

// walk looks for records in every text of a JSON value, in order of writing where JSON has one.
func walk(items []Item, where string, v any) []Item {
	switch v := v.(type) {
	case string:
		text := strings.TrimSpace(v)
		switch {
		case packed(text):
			return append(items, Item{Where: or(where, "JSON"), Text: text})
		case strings.HasPrefix(text, "{") && strings.Contains(text, "signedMeterData"):
			var inner any
			if json.Unmarshal([]byte(text), &inner) == nil {
				return walk(items, where, inner)
			}
		}
	case []any:
		for _, item := range v {
			items = walk(items, where, item)
		}
	case map[string]any:
		if data, ok := v["signedMeterData"].(string); ok && data != "" {
			key, _ := v["publicKey"].(string)
			encoding, _ := v["encodingMethod"].(string)
			item := Item{Where: or(where, "JSON"), Text: data, EmbeddedKey: key}
			if encoding != "" && !strings.EqualFold(encoding, "OCMF") {
				item.Format = encoding
			}
			return append(items, item)
		}
		for _, name := range sorted(v) {
			items = walk(items, where, v[name])
		}
	}
	return items
}

// sorted returns an object's names in an order of their own, so that a file reads the same each time.
func sorted(object map[string]any) []string {
	return slices.Sorted(maps.Keys(object))
}
