package chainclient

import (
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// The parameters of every module can be named, those of its parts too.
func TestEveryModulesParametersAreKnown(t *testing.T) {
	for _, module := range GovernedModules() {
		params, ok := find[protoreflect.MessageDescriptor](protoreflect.FullName("cairn." + module + ".v1.QueryParamsResponse"))
		if !ok {
			t.Fatalf("%s has no answer to a question for its parameters", module)
		}
		fields := params.Fields().ByName("params").Message().Fields()
		if fields.Len() == 0 {
			t.Errorf("%s: no parameter is known", module)
		}
		for i := range fields.Len() {
			if part := fields.Get(i).Message(); part != nil && part.Fields().Len() == 0 {
				t.Errorf("%s.%s: nothing is known of it", module, fields.Get(i).Name())
			}
		}
	}
}
