// Package sonic stands in for github.com/bytedance/sonic, a JSON library that compiles machine code while
// the program runs. The SDK's log (cosmossdk.io/log/v2) uses the two functions below and nothing else; what
// they save is not worth 5 MB of a node, nor code that is made at run time. See docs/adr/0003.
package sonic

import "encoding/json"

// Marshal is json.Marshal.
func Marshal(v any) ([]byte, error) { return json.Marshal(v) }

// Unmarshal is json.Unmarshal.
func Unmarshal(b []byte, v any) error { return json.Unmarshal(b, v) }
