package stage

import (
	"fmt"
	"math"
	"math/big"
	"reflect"
	"strings"

	sdkmath "cosmossdk.io/math"
	"github.com/cosmos/gogoproto/proto"
)

var (
	intType  = reflect.TypeFor[sdkmath.Int]()
	byteType = reflect.TypeFor[[]byte]()
)

// Mutate calls run with copies of a message in which one field, at any depth, has another value:
// nothing, the ends of its range, far too much, or what only looks right. run gets a description of
// the change.
func Mutate[M proto.Message](msg M, run func(change string, mutated M)) {
	fields(reflect.ValueOf(msg).Elem(), "", nil, func(name string, path []int) {
		original := follow(reflect.ValueOf(msg).Elem(), path)
		for _, value := range strange(original) {
			copied := clone(msg)
			follow(reflect.ValueOf(copied).Elem(), path).Set(value)
			run(fmt.Sprintf("%s = %s", name, brief(value)), copied)
		}
	})
}

// Blank is a new message of the same type.
func Blank(msg proto.Message) proto.Message {
	return reflect.New(reflect.TypeOf(msg).Elem()).Interface().(proto.Message)
}

// clone copies a message by its encoding.
func clone[M proto.Message](msg M) M {
	raw, err := proto.Marshal(msg)
	must(err)
	copied := reflect.New(reflect.TypeOf(msg).Elem()).Interface().(M)
	must(proto.Unmarshal(raw, copied))
	return copied
}

// fields visits every field of a message struct, those of its messages and list elements too. A
// path is field numbers and list indexes in turn.
func fields(v reflect.Value, name string, path []int, visit func(string, []int)) {
	switch {
	case v.Type() == intType, v.Type() == byteType:
		visit(name, path)
	case v.Kind() == reflect.Struct:
		if name != "" {
			visit(name, path)
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fields(v.Field(i), name+"."+v.Type().Field(i).Name, append(path[:len(path):len(path)], i), visit)
			}
		}
	case v.Kind() == reflect.Slice:
		visit(name, path)
		if v.Len() > 0 {
			fields(v.Index(0), name+"[0]", append(path[:len(path):len(path)], 0), visit)
		}
	case v.Kind() == reflect.Pointer:
		visit(name, path)
		if !v.IsNil() {
			fields(v.Elem(), name, append(path[:len(path):len(path)], 0), visit)
		}
	default:
		visit(name, path)
	}
}

func follow(v reflect.Value, path []int) reflect.Value {
	for _, step := range path {
		switch v.Kind() {
		case reflect.Slice:
			v = v.Index(step)
		case reflect.Pointer:
			v = v.Elem()
		default:
			v = v.Field(step)
		}
	}
	return v
}

// strange lists values that a field of this type should survive.
func strange(v reflect.Value) []reflect.Value {
	var values []reflect.Value
	add := func(of ...any) {
		for _, value := range of {
			values = append(values, reflect.ValueOf(value).Convert(v.Type()))
		}
	}
	power := func(n uint, less int64) sdkmath.Int {
		p := new(big.Int).Lsh(big.NewInt(1), n)
		return sdkmath.NewIntFromBigInt(p.Sub(p, big.NewInt(less)))
	}
	switch {
	case v.Type() == intType:
		add(sdkmath.Int{}, sdkmath.ZeroInt(), sdkmath.OneInt(), sdkmath.NewInt(-1), power(64, 0), power(128, 1), power(128, 0), power(255, 0), power(255, 0).Neg())
	case v.Type() == byteType:
		add([]byte(nil), []byte{1}, make([]byte, 32), []byte(strings.Repeat("\xff", 64)), make([]byte, 1<<16))
	case v.Kind() == reflect.String:
		add("", "x", "storage", "acairn", "uatom", Spell(Account(0)), Spell(Account(7)), strings.ToUpper(Spell(Account(0))),
			"0x0000000000000000000000000000000000000000", "\xff\xfe", strings.Repeat("a", 5000))
	case v.Kind() == reflect.Bool:
		add(!v.Bool())
	case v.CanInt() && v.Kind() == reflect.Int64:
		add(int64(0), int64(1), int64(-1), int64(math.MaxInt64), int64(math.MinInt64), v.Int()+1, v.Int()-1)
	case v.CanInt():
		add(int32(0), int32(1), int32(2), int32(-1), int32(math.MaxInt32), int32(math.MinInt32))
	case v.Kind() == reflect.Uint64:
		add(uint64(0), uint64(1), uint64(2), uint64(1<<32), uint64(math.MaxInt64), uint64(math.MaxUint64), v.Uint()+1, v.Uint()-1)
	case v.CanUint():
		add(uint32(0), uint32(1), uint32(2), uint32(math.MaxUint32))
	case v.Kind() == reflect.Struct, v.Kind() == reflect.Pointer:
		values = append(values, reflect.Zero(v.Type()))
		if v.Kind() == reflect.Pointer {
			values = append(values, reflect.New(v.Type().Elem()))
		}
	case v.Kind() == reflect.Slice:
		values = append(values, reflect.Zero(v.Type()))
		blank := reflect.MakeSlice(v.Type(), 1, 1)
		values = append(values, blank, reflect.AppendSlice(blank, v))
		if v.Len() > 0 {
			values = append(values, reflect.AppendSlice(v.Slice3(0, v.Len(), v.Len()), v)) // each twice
			many := reflect.MakeSlice(v.Type(), 3000, 3000)
			for i := range many.Len() {
				many.Index(i).Set(v.Index(0))
			}
			values = append(values, many)
		}
	}
	return values
}

func brief(v reflect.Value) string {
	text := fmt.Sprintf("%v", v)
	if len(text) > 60 {
		text = fmt.Sprintf("%.40s... (%d)", text, len(text))
	}
	return text
}
