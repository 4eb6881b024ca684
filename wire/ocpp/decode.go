package ocpp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Deviation is one way in which a payload differs from its schema, mended.
type Deviation struct {
	Field string // dotted path
	What  string
}

func (d Deviation) String() string { return d.Field + ": " + d.What }

// Decode reads a payload into the struct that into points to, mends what does no harm and says what that was. A
// strict field that is absent, twice there or too long, and what cannot be read at all, is refused as *Error
// naming the field.
func Decode(payload json.RawMessage, into any) ([]Deviation, error) {
	v := reflect.ValueOf(into).Elem()
	p := planOf(v.Type())
	var seen []Deviation
	switch trimmed := bytes.TrimSpace(payload); {
	case len(trimmed) == 0, bytes.Equal(trimmed, []byte("null")), bytes.Equal(trimmed, []byte("[]")):
		payload = json.RawMessage("{}")
		seen = append(seen, Deviation{"payload", "absent"})
	}
	if p.strict {
		if err := p.checkPresence(payload); err != nil {
			return seen, err
		}
	}
	if err := json.Unmarshal(payload, into); err != nil {
		mended, changes, merr := mend(payload, v.Type())
		if merr != nil {
			return seen, Refuse(FormationViolation, "payload: %v", merr)
		}
		v.SetZero()
		if err := json.Unmarshal(mended, into); err != nil {
			return seen, Refuse(TypeConstraint, "payload: %v", err)
		}
		seen = append(seen, changes...)
	}
	return p.check(v, "", seen)
}

// Check says how a message of ours breaks its schema; nil for a good one.
func Check(message any) error {
	v := reflect.ValueOf(message)
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	seen, err := planOf(v.Type()).check(v, "", nil)
	if err != nil {
		return err
	}
	if len(seen) > 0 {
		return Refuse(PropertyConstraint, "%s", seen[0])
	}
	return nil
}

// plan is what the tags of a struct ask, compiled once a type.
type plan struct {
	fields []field
	strict bool // some field is
}

type field struct {
	index    int
	name     string
	required bool
	strict   bool
	most     int // characters of a text, elements of a list; 0 for any
	// inner is the plan of a struct, behind a pointer or in a list, too; nil for scalars.
	inner *plan
	kind  reflect.Kind
}

var plans sync.Map // reflect.Type -> *plan

var (
	timeType    = reflect.TypeFor[Time]()
	decimalType = reflect.TypeFor[Decimal]()
	rawType     = reflect.TypeFor[json.RawMessage]()
)

func planOf(t reflect.Type) *plan {
	if p, ok := plans.Load(t); ok {
		return p.(*plan)
	}
	p := new(plan)
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		out := field{index: i, name: name, kind: f.Type.Kind()}
		for option := range strings.SplitSeq(f.Tag.Get("ocpp"), ",") {
			key, value, _ := strings.Cut(option, "=")
			switch key {
			case "required":
				out.required = true
			case "strict":
				out.strict, p.strict = true, true
			case "max", "items":
				out.most, _ = strconv.Atoi(value) // tags are checked by TestTags
			}
		}
		if e := element(f.Type); e.Kind() == reflect.Struct && e != timeType {
			out.inner = planOf(e)
		}
		p.fields = append(p.fields, out)
	}
	plans.Store(t, p)
	return p
}

// element is what pointers and lists are made of.
func element(t reflect.Type) reflect.Type {
	for t != rawType && (t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice) {
		t = t.Elem()
	}
	return t
}

// checkPresence refuses a payload whose strict fields are not there exactly once. encoding/json takes names in any
// case, and so does this.
func (p *plan) checkPresence(payload []byte) error {
	var count [64]uint8
	err := fields(payload, func(key, value []byte) error {
		for i := range p.fields {
			if f := &p.fields[i]; i < len(count) && strings.EqualFold(f.name, string(key)) {
				if count[i]++; count[i] > 1 {
					return Refuse(FormationViolation, "%s is there twice", f.name)
				}
				if f.strict && f.required && string(value) == "null" {
					return Refuse(OccurrenceViolated, "%s is null", f.name)
				}
			}
		}
		return nil
	})
	if err != nil {
		var refusal *Error
		if errors.As(err, &refusal) {
			return refusal
		}
		return Refuse(FormationViolation, "payload: %v", err)
	}
	for i := range p.fields {
		if f := &p.fields[i]; f.strict && f.required && count[i] == 0 {
			return Refuse(OccurrenceViolated, "%s is missing", f.name)
		}
	}
	return nil
}

// maxDeviations bounds what one message reports.
const maxDeviations = 16

func (p *plan) check(v reflect.Value, path string, seen []Deviation) ([]Deviation, error) {
	for i := range p.fields {
		f := &p.fields[i]
		fv := v.Field(f.index)
		length := 0
		switch f.kind {
		case reflect.String, reflect.Slice:
			length = fv.Len()
			if f.required && length == 0 {
				if f.strict {
					return seen, Refuse(OccurrenceViolated, "%s is empty", path+f.name)
				}
				seen = report(seen, path+f.name, "empty")
			}
		case reflect.Pointer:
			if !fv.IsNil() && f.inner != nil {
				var err error
				if seen, err = f.inner.check(fv.Elem(), path+f.name+".", seen); err != nil {
					return seen, err
				}
			}
			continue
		case reflect.Struct:
			if f.inner != nil {
				var err error
				if seen, err = f.inner.check(fv, path+f.name+".", seen); err != nil {
					return seen, err
				}
			}
			continue
		default:
			continue
		}
		if f.most > 0 && length > f.most {
			if f.strict {
				return seen, Refuse(PropertyConstraint, "%s has %d characters, at most %d are allowed", path+f.name, length, f.most)
			}
			seen = report(seen, path+f.name, fmt.Sprintf("%d long, %d are allowed", length, f.most))
		}
		if f.inner == nil || f.kind != reflect.Slice {
			continue
		}
		for j := range length {
			e := fv.Index(j)
			if e.Kind() == reflect.Pointer {
				if e.IsNil() {
					continue
				}
				e = e.Elem()
			}
			var err error
			if seen, err = f.inner.check(e, path+f.name+".", seen); err != nil {
				return seen, err
			}
		}
	}
	return seen, nil
}

func report(seen []Deviation, name, what string) []Deviation {
	if len(seen) >= maxDeviations || slices.ContainsFunc(seen, func(d Deviation) bool { return d.Field == name }) {
		return seen
	}
	return append(seen, Deviation{name, what})
}

// mend rewrites a payload of the wrong types into those of t: numbers for texts, texts for numbers, whole numbers with a
// fraction of zeros, one object where a list of one should be, objects where a text should be. What it cannot mend
// stays, for the decoder to name.
func mend(payload []byte, t reflect.Type) ([]byte, []Deviation, error) {
	d := json.NewDecoder(bytes.NewReader(payload))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		return nil, nil, err
	}
	var changes []Deviation
	value = mendValue(value, t, "", &changes)
	out, err := json.Marshal(value)
	return out, changes, err
}

func mendValue(value any, t reflect.Type, path string, changes *[]Deviation) any {
	changed := func(what string) { *changes = report(*changes, path, what) }
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if value == nil || t == rawType || t == decimalType {
		return value
	}
	switch t.Kind() {
	case reflect.Struct:
		if t == timeType {
			return value
		}
		object, ok := value.(map[string]any)
		if !ok {
			return value
		}
		for i := range t.NumField() {
			name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
			for key, inner := range object {
				if strings.EqualFold(key, name) {
					object[key] = mendValue(inner, t.Field(i).Type, strings.TrimPrefix(path+"."+name, "."), changes)
				}
			}
		}
		return object
	case reflect.Slice:
		list, ok := value.([]any)
		if !ok {
			changed("one where a list should be")
			list = []any{value}
		}
		for i := range list {
			list[i] = mendValue(list[i], t.Elem(), path, changes)
		}
		return list
	case reflect.Int:
		s, quoted := value.(string)
		if n, ok := value.(json.Number); ok {
			s = n.String()
		} else if !quoted {
			return value
		}
		n, err := Decimal(s).Scaled(0)
		milli, err2 := Decimal(s).Scaled(3)
		if err != nil || err2 != nil || n*1000 != milli { // 12.5 is not mended to 12
			return value
		}
		if number := json.Number(strconv.FormatInt(n, 10)); value != any(number) {
			changed("not written as a whole number")
			return number
		}
		return value
	case reflect.String:
		switch x := value.(type) {
		case string:
			return x
		case json.Number:
			changed("a number, not a text")
			return x.String()
		case bool:
			changed("a truth value, not a text")
			return strconv.FormatBool(x)
		default:
			b, err := json.Marshal(x)
			if err != nil {
				return value
			}
			changed("an object, not a text")
			return string(b)
		}
	case reflect.Bool:
		switch s := value.(type) {
		case string:
			if b, err := strconv.ParseBool(strings.ToLower(s)); err == nil {
				changed("a text, not a truth value")
				return b
			}
		case json.Number:
			if s == "0" || s == "1" {
				changed("a number, not a truth value")
				return s == "1"
			}
		}
	}
	return value
}
