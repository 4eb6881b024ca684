package meterfile_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/cairn-network/cairn/wire/meterfile"
)

const (
	first  = `OCMF|{"PG":"T1","RD":[{"TM":"x"}]}|{"SD":"00"}`
	second = `OCMF|{"PG":"T2","U":"a|b"}|{"SD":"01"}`
)

var inBase64 = base64.StdEncoding.EncodeToString([]byte(second))

func wrapper(key string) string {
	return fmt.Sprintf(`{"signedMeterData":"%s","encodingMethod":"OCMF","publicKey":"%s"}`, inBase64, key)
}

func quoted(t *testing.T, s string) string {
	t.Helper()
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestRead(t *testing.T) {
	split := strings.Replace(first, `,"RD"`, ",\n \"RD\"", 1)
	receipt := "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><values><value transactionId=\"7\" context=\"Transaction.Begin\"><signedData format=\"OCMF\"> " + strings.ReplaceAll(first, `"`, "&quot;") +
		"</signedData><publicKey encoding=\"plain\"> 30 59 </publicKey></value><value><encodedData format=\"EDL\">zz</encodedData></value></values>"
	for _, c := range []struct {
		name, file string
		want       []meterfile.Item
	}{
		{"a record", first, []meterfile.Item{{Where: "line 1", Text: first}}},
		{"with a byte order mark and lines around", "\ufeff\r\n\n" + first + "\r\n", []meterfile.Item{{Where: "line 1", Text: first}}},
		{"over lines", "# two\n" + split + "\n" + second, []meterfile.Item{{Where: "line 2", Text: split}, {Where: "line 4", Text: second}}},
		{"two on a line, with words", "at 8: " + first + ", at 9: " + second + "!", []meterfile.Item{{Where: "line 1", Text: first}, {Where: "line 1", Text: second}}},
		{"in hex and base64", "x " + hex.EncodeToString([]byte(first)) + " y\n" + inBase64, []meterfile.Item{{Where: "line 1", Text: hex.EncodeToString([]byte(first))}, {Where: "line 2", Text: inBase64}}},
		{"cut off", first + "\n" + second[:20], []meterfile.Item{{Where: "line 1", Text: first}, {Where: "line 2", Text: second[:20]}}},
		{"an object", wrapper("k"), []meterfile.Item{{Where: "JSON", Text: inBase64, EmbeddedKey: "k"}}},
		{"an object's text", quoted(t, wrapper("")), []meterfile.Item{{Where: "JSON", Text: inBase64}}},
		{"another format", strings.Replace(wrapper(""), "OCMF", "EDL", 1), []meterfile.Item{{Where: "JSON", Text: inBase64, Format: "EDL"}}},
		{"records in JSON", fmt.Sprintf(`{"b":[%s],"a":{"x":%s}}`, quoted(t, first), quoted(t, second)), []meterfile.Item{{Where: "JSON", Text: second}, {Where: "JSON", Text: first}}},
		{"a log", fmt.Sprintf("[info] 08:00 in [2,\"1\",\"MeterValues\",{\"value\":%s}]\n[info] out [3,\"1\",{}]\n{\"msg\":[2,\"2\",\"X\",%s]}\n", quoted(t, wrapper("k")), wrapper("l")), []meterfile.Item{{Where: "line 1", Text: inBase64, EmbeddedKey: "k"}, {Where: "line 3", Text: inBase64, EmbeddedKey: "l"}}},
		{"XML", receipt, []meterfile.Item{{Where: "value 1", Text: " " + first, Key: "30 59", Transaction: "7", Context: "Transaction.Begin"}, {Where: "value 2", Text: "zz", Transaction: "7", Context: "Transaction.Begin", Format: "EDL"}}},
		{"XML, the key first", "<values><value><publicKey>k</publicKey><signedData>" + first + "</signedData></value></values>", []meterfile.Item{{Where: "value 1", Text: first, Key: "k"}}},
		{"a piece of XML", `<signedData transactionId="8">` + first + "</signedData>\nPublic key:\n3059", []meterfile.Item{{Where: "signedData 1", Text: first, Transaction: "8"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := meterfile.Read([]byte(c.file))
			if err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("%+v, %v, want %+v", got, err, c.want)
			}
		})
	}
}

func TestFilesWithoutRecords(t *testing.T) {
	for _, file := range []string{"", "\n", "hello", "{}", "[1,2]", "<values></values>", "<values><value><signedData> </signedData></value></values>", "OCMF without a pipe"} {
		if items, err := meterfile.Read([]byte(file)); !errors.Is(err, meterfile.ErrNothing) {
			t.Errorf("%q: %+v, %v", file, items, err)
		}
	}
	for _, file := range []string{"<values", "<values><value><signedData>", "<values><value><publicKey>"} {
		if items, err := meterfile.Read([]byte(file)); err == nil || errors.Is(err, meterfile.ErrNothing) {
			t.Errorf("%q: %+v, %v", file, items, err)
		}
	}
}

// Whatever the file, reading it ends, and what is found stands in it.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{first + "\n" + second, wrapper("k"), "a " + wrapper("k") + "\n[2,\"x\"]", "<values><value transactionId='1'><signedData>" + first + "</signedData><publicKey>k</publicKey></value></values>", "OCMF|OCMF|{}|{}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		items, err := meterfile.Read(file)
		if (err == nil) != (len(items) > 0) {
			t.Fatalf("%d items, %v", len(items), err)
		}
		for _, item := range items {
			if item.Where == "" || strings.TrimSpace(item.Text) == "" {
				t.Fatalf("%+v", item)
			}
		}
	})
}
