package chainclient

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	gogoproto "github.com/cosmos/gogoproto/proto"
	anypb "github.com/cosmos/gogoproto/types/any"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	// Interfaces whose parameters and messages this package reads by their descriptors.
	_ "github.com/cairn-network/cairn/api/cairn/audit/v1"
	_ "github.com/cairn-network/cairn/api/cairn/reward/v1"
	"github.com/cairn-network/cairn/core/address"
	"github.com/cairn-network/cairn/core/price"
)

// Governance is the account in whose name a proposal that passed acts, and that alone may change
// parameters.
func Governance() string {
	hash := sha256.Sum256([]byte("gov")) // of the SDK's module account of that name
	return address.Bech32([20]byte(hash[:20]))
}

// Params are the governed parameters of a module, read by their descriptor: a module that gains
// one, and a new module, need no change here.
type Params struct {
	Module string
	values *dynamicpb.Message
}

// service names the query service of a module of ours.
func service(module string) protoreflect.FullName {
	return protoreflect.FullName("cairn." + module + ".v1.Query")
}

// descriptors are those of all linked files, each joined to those that it imports: in the resolver of
// the registry a file that was registered before its imports knows them by name alone.
var descriptors = sync.OnceValue(func() interface {
	FindDescriptorByName(protoreflect.FullName) (protoreflect.Descriptor, error)
} {
	linked, err := gogoproto.MergedGlobalFileDescriptors()
	if err != nil {
		return gogoproto.HybridResolver
	}
	joined, err := protodesc.FileOptions{AllowUnresolvable: true}.NewFiles(linked)
	if err != nil {
		return gogoproto.HybridResolver
	}
	return joined
})

// find gives a descriptor by its name.
func find[D protoreflect.Descriptor](name protoreflect.FullName) (d D, ok bool) {
	found, err := descriptors().FindDescriptorByName(name)
	if err != nil {
		return d, false
	}
	d, ok = found.(D)
	return d, ok
}

// GovernedModules are the modules that have parameters, in alphabetical order.
func GovernedModules() []string {
	var modules []string
	gogoproto.HybridResolver.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		parts := strings.Split(string(file.Package()), ".")
		if len(parts) != 3 || parts[0] != "cairn" || slices.Contains(modules, parts[1]) {
			return true
		}
		if _, ok := find[protoreflect.MessageDescriptor](updateParams(parts[1])); ok {
			modules = append(modules, parts[1])
		}
		return true
	})
	slices.Sort(modules)
	return modules
}

func updateParams(module string) protoreflect.FullName {
	return protoreflect.FullName("cairn." + module + ".v1.MsgUpdateParams")
}

// Params are a module's parameters now.
func (c *Client) Params(ctx context.Context, module string) (Params, error) {
	s, ok := find[protoreflect.ServiceDescriptor](service(module))
	if !ok || s.Methods().ByName("Params") == nil {
		return Params{}, fmt.Errorf("module %q has no parameters: there are %s", module, strings.Join(GovernedModules(), ", "))
	}
	method := s.Methods().ByName("Params")
	answer := dynamicpb.NewMessage(method.Output())
	if err := c.conn.Invoke(ctx, "/"+string(s.FullName())+"/Params", dynamicpb.NewMessage(method.Input()), answer); err != nil {
		return Params{}, fmt.Errorf("asking for the parameters of %s: %w", module, queryError(err))
	}
	field := method.Output().Fields().ByName("params")
	return Params{Module: module, values: answer.Get(field).Message().Interface().(*dynamicpb.Message)}, nil
}

// Param is one parameter as people read it.
type Param struct {
	Name  string `json:"name"` // module.field, or module.part.field
	Value string `json:"value"`
}

// List gives all parameters in the order of the interface.
func (p Params) List() []Param {
	var list []Param
	leaves(p.Module, p.values, func(name string, in protoreflect.Message, field protoreflect.FieldDescriptor) {
		list = append(list, Param{name, show(in, field)})
	})
	return list
}

// leaves visits the fields of a message; those of parts of it under their dotted name.
func leaves(prefix string, m protoreflect.Message, visit func(string, protoreflect.Message, protoreflect.FieldDescriptor)) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		name := prefix + "." + string(field.Name())
		if part := field.Message(); part != nil && !field.IsList() && part.FullName() != coinType && part.FullName() != durationType {
			leaves(name, m.Get(field).Message(), visit)
			continue
		}
		visit(name, m, field)
	}
}

const (
	coinType     = "cosmos.base.v1beta1.Coin"
	durationType = "google.protobuf.Duration"
)

// Change is a parameter that two sets of them differ in.
type Change struct {
	Name string `json:"name"`
	Old  string `json:"old"`
	New  string `json:"new"`
}

// Changes are what becomes different from p to other, which must be of the same module.
func (p Params) Changes(other Params) []Change {
	var changes []Change
	after := other.List()
	for i, before := range p.List() {
		if i < len(after) && before.Value != after[i].Value {
			changes = append(changes, Change{before.Name, before.Value, after[i].Value})
		}
	}
	return changes
}

// With is a copy of the parameters in which one, named as List names it, has another value, written
// as List writes it. Seconds may be written as 36h or 7d, money as 2.5CAIRN.
func (p Params) With(name, value string) (Params, error) {
	values := proto.Clone(p.values).(*dynamicpb.Message)
	found := false
	var err error
	leaves(p.Module, values, func(leaf string, _ protoreflect.Message, field protoreflect.FieldDescriptor) {
		if leaf == name {
			found = true
			err = set(values, strings.Split(name, ".")[1:], field, value)
		}
	})
	if !found {
		var names []string
		for _, param := range p.List() {
			names = append(names, param.Name)
		}
		return Params{}, fmt.Errorf("no parameter %q: there are %s", name, strings.Join(names, ", "))
	}
	if err != nil {
		return Params{}, fmt.Errorf("parameter %s: %w", name, err)
	}
	return Params{p.Module, values}, nil
}

// set writes a field at a path of parts.
func set(m protoreflect.Message, path []string, field protoreflect.FieldDescriptor, text string) error {
	for _, part := range path[:len(path)-1] {
		m = m.Mutable(m.Descriptor().Fields().ByName(protoreflect.Name(part))).Message()
	}
	if field.IsList() {
		return setList(m, field, text)
	}
	value, err := parse(m, field, text)
	if err != nil {
		return err
	}
	m.Set(field, value)
	return nil
}

func setList(m protoreflect.Message, field protoreflect.FieldDescriptor, text string) error {
	m.Clear(field)
	list := m.Mutable(field).List()
	if field.Message() != nil { // as JSON
		wrapped := dynamicpb.NewMessage(m.Descriptor())
		if err := protojson.Unmarshal(fmt.Appendf(nil, "{%q:%s}", field.Name(), text), wrapped); err != nil {
			return fmt.Errorf("value %q is no JSON list of %s: %w", text, field.Message().Name(), err)
		}
		m.Set(field, wrapped.Get(field))
		return nil
	}
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		value, err := parse(m, field, part)
		if err != nil {
			return err
		}
		list.Append(value)
	}
	return nil
}

// parse reads one value of a field.
func parse(m protoreflect.Message, field protoreflect.FieldDescriptor, text string) (protoreflect.Value, error) {
	bits := map[protoreflect.Kind]int{
		protoreflect.Uint32Kind: 32, protoreflect.Uint64Kind: 64,
		protoreflect.Int32Kind: 32, protoreflect.Int64Kind: 64, protoreflect.Sint32Kind: 32, protoreflect.Sint64Kind: 64,
	}[field.Kind()]
	if strings.HasSuffix(string(field.Name()), "_seconds") {
		if d, err := parseDuration(text); err == nil {
			text = strconv.FormatInt(int64(d/time.Second), 10)
		}
	}
	switch field.Kind() {
	case protoreflect.Uint32Kind, protoreflect.Uint64Kind:
		n, err := strconv.ParseUint(text, 10, bits)
		if err != nil {
			return protoreflect.Value{}, fmt.Errorf("value %q: want a whole number from 0 of %d bits", text, bits)
		}
		if bits == 32 {
			return protoreflect.ValueOfUint32(uint32(n)), nil
		}
		return protoreflect.ValueOfUint64(n), nil
	case protoreflect.Int32Kind, protoreflect.Int64Kind, protoreflect.Sint32Kind, protoreflect.Sint64Kind:
		n, err := strconv.ParseInt(text, 10, bits)
		if err != nil {
			return protoreflect.Value{}, fmt.Errorf("value %q: want a whole number of %d bits", text, bits)
		}
		if bits == 32 {
			return protoreflect.ValueOfInt32(int32(n)), nil
		}
		return protoreflect.ValueOfInt64(n), nil
	case protoreflect.BoolKind:
		b, err := strconv.ParseBool(text)
		return protoreflect.ValueOfBool(b), err
	case protoreflect.StringKind:
		if a, err := price.Parse(text); err == nil && isAmount(m, field) {
			text = a.String()
		}
		return protoreflect.ValueOfString(text), nil
	case protoreflect.BytesKind:
		b, err := hex.DecodeString(text)
		if err != nil {
			return protoreflect.Value{}, fmt.Errorf("value %q: want hexadecimal", text)
		}
		return protoreflect.ValueOfBytes(b), nil
	case protoreflect.EnumKind:
		value := field.Enum().Values().ByName(protoreflect.Name(text))
		if value == nil {
			return protoreflect.Value{}, fmt.Errorf("value %q is none of %s", text, field.Enum().Name())
		}
		return protoreflect.ValueOfEnum(value.Number()), nil
	case protoreflect.MessageKind:
		return parseMessage(field.Message(), text)
	default:
		return protoreflect.Value{}, fmt.Errorf("value %q: a %s cannot be written here", text, field.Kind())
	}
}

// isAmount says whether a text field holds a count of acairn beside which no denomination stands.
func isAmount(m protoreflect.Message, field protoreflect.FieldDescriptor) bool {
	return !field.IsList() && m.Descriptor().Fields().ByName("denom") == nil && field.JSONName() != "denom"
}

func parseMessage(kind protoreflect.MessageDescriptor, text string) (protoreflect.Value, error) {
	m := dynamicpb.NewMessage(kind)
	fields := kind.Fields()
	switch kind.FullName() {
	case coinType:
		amount, err := price.Parse(text)
		if err != nil {
			return protoreflect.Value{}, err
		}
		m.Set(fields.ByName("denom"), protoreflect.ValueOfString(Denom))
		m.Set(fields.ByName("amount"), protoreflect.ValueOfString(amount.String()))
	case durationType:
		d, err := parseDuration(text)
		if err != nil {
			return protoreflect.Value{}, err
		}
		m.Set(fields.ByName("seconds"), protoreflect.ValueOfInt64(int64(d/time.Second)))
		m.Set(fields.ByName("nanos"), protoreflect.ValueOfInt32(int32(d%time.Second)))
	default:
		if err := protojson.Unmarshal([]byte(text), m); err != nil {
			return protoreflect.Value{}, fmt.Errorf("value %q is no JSON of %s: %w", text, kind.Name(), err)
		}
	}
	return protoreflect.ValueOfMessage(m), nil
}

// parseDuration reads 90s, 36h and also 7d.
func parseDuration(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseInt(days, 10, 32)
		return time.Duration(n) * 24 * time.Hour, err
	}
	return time.ParseDuration(text)
}

// show writes a field as people read it.
func show(m protoreflect.Message, field protoreflect.FieldDescriptor) string {
	value := m.Get(field)
	if !field.IsList() {
		return showOne(field, value)
	}
	list := value.List()
	parts := make([]string, list.Len())
	for i := range parts {
		parts[i] = showOne(field, list.Get(i))
	}
	if field.Message() != nil && field.Message().FullName() != coinType {
		return "[" + strings.Join(parts, ",") + "]"
	}
	return strings.Join(parts, ",")
}

func showOne(field protoreflect.FieldDescriptor, value protoreflect.Value) string {
	switch field.Kind() {
	case protoreflect.BytesKind:
		return hex.EncodeToString(value.Bytes())
	case protoreflect.EnumKind:
		if v := field.Enum().Values().ByNumber(value.Enum()); v != nil {
			return string(v.Name())
		}
		return strconv.Itoa(int(value.Enum()))
	case protoreflect.MessageKind:
		return showMessage(value.Message())
	default:
		text := value.String()
		if n, err := strconv.ParseInt(text, 10, 64); err == nil && n >= 60 && strings.HasSuffix(string(field.Name()), "_seconds") {
			return showSeconds(n)
		}
		return text
	}
}

// showSeconds writes whole days as 7d, whole hours as 36h, and the rest as seconds.
func showSeconds(n int64) string {
	switch {
	case n%86_400 == 0:
		return fmt.Sprintf("%dd", n/86_400)
	case n%3_600 == 0:
		return fmt.Sprintf("%dh", n/3_600)
	default:
		return strconv.FormatInt(n, 10)
	}
}

func showMessage(m protoreflect.Message) string {
	fields := m.Descriptor().Fields()
	switch m.Descriptor().FullName() {
	case coinType:
		amount, denom := m.Get(fields.ByName("amount")).String(), m.Get(fields.ByName("denom")).String()
		if a, err := price.ParseDecimal(amount); err == nil && denom == Denom {
			return a.Format()
		}
		return amount + denom
	case durationType:
		return (time.Duration(m.Get(fields.ByName("seconds")).Int())*time.Second + time.Duration(m.Get(fields.ByName("nanos")).Int())).String()
	default:
		text, err := protojson.MarshalOptions{UseProtoNames: true, EmitUnpopulated: true}.Marshal(m.Interface())
		if err != nil {
			return err.Error()
		}
		return string(text)
	}
}

// Update is the message by which governance sets the parameters.
func (p Params) Update() (*anypb.Any, error) {
	kind, ok := find[protoreflect.MessageDescriptor](updateParams(p.Module))
	if !ok {
		return nil, fmt.Errorf("module %s has no message to change parameters", p.Module)
	}
	m := dynamicpb.NewMessage(kind)
	m.Set(kind.Fields().ByName("authority"), protoreflect.ValueOfString(Governance()))
	m.Set(kind.Fields().ByName("params"), protoreflect.ValueOfMessage(p.values))
	return packDynamic(m)
}

func packDynamic(m proto.Message) (*anypb.Any, error) {
	b, err := proto.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("packing %s: %w", m.ProtoReflect().Descriptor().FullName(), err)
	}
	return &anypb.Any{TypeUrl: "/" + string(m.ProtoReflect().Descriptor().FullName()), Value: b}, nil
}

// updated reads the parameters that a message would set; ok is false for other messages.
func updated(url string, value []byte) (p Params, ok bool) {
	module, ok := strings.CutSuffix(strings.TrimPrefix(url, "/cairn."), ".v1.MsgUpdateParams")
	if !ok || !strings.HasPrefix(url, "/cairn.") {
		return Params{}, false
	}
	kind, ok := find[protoreflect.MessageDescriptor](updateParams(module))
	if !ok {
		return Params{}, false
	}
	m := dynamicpb.NewMessage(kind)
	if proto.Unmarshal(value, m) != nil {
		return Params{}, false
	}
	values, ok := m.Get(kind.Fields().ByName("params")).Message().Interface().(*dynamicpb.Message)
	return Params{Module: module, values: values}, ok
}
