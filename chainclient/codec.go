package chainclient

import (
	"fmt"

	gogoproto "github.com/cosmos/gogoproto/proto"
	"google.golang.org/protobuf/proto"
)

// codec moves both kinds of generated messages over gRPC: gogoproto's (api/ and the SDK's own)
// by their generated methods, protobuf-go's by its runtime. gRPC's own codec would look into
// gogoproto's custom types by reflection and panic.
type codec struct{}

type generated interface {
	Marshal() ([]byte, error)
	Unmarshal([]byte) error
}

func (codec) Marshal(v any) ([]byte, error) {
	switch m := v.(type) {
	case proto.Message:
		return proto.Marshal(m)
	case generated:
		return m.Marshal()
	default:
		return nil, fmt.Errorf("encoding %T: not a protobuf message", v)
	}
}

func (codec) Unmarshal(b []byte, v any) error {
	switch m := v.(type) {
	case proto.Message:
		return proto.Unmarshal(b, m)
	case generated:
		return m.Unmarshal(b)
	default:
		return fmt.Errorf("decoding %T: not a protobuf message", v)
	}
}

// Name is the content subtype on the wire, that of every protobuf codec.
func (codec) Name() string { return "proto" }

// Message is a transaction message: one of api/cairn/.../tx.pb.go, or any other that gogoproto
// generated.
type Message interface {
	gogoproto.Message
	generated
}
