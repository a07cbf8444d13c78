package codec

import (
	"bytes"
	"strconv"

	"github.com/aip-go/aip/internal/jsonscan"
	"github.com/aip-go/aip/messages"
)

// decoder reads one model from JSON text. The scanner holds what is wrong with
// the text; wrong holds what is wrong with the values.
type decoder struct {
	s      jsonscan.Scanner
	shared sharedText
	wrong  []fault
}

// begin enters the object that comes next.
func (d *decoder) begin() { d.s.Open() }

// next moves to the next member of the open object, whose faults begin at
// wrong[start]. A key given again replaces what came before, and so takes back
// what was wrong with it.
func (d *decoder) next(start int) bool {
	if !d.s.NextKey() {
		return false
	}
	if len(d.wrong) > start {
		d.forget(start, d.s.Key())
	}
	return true
}

// text reads an optional string: null is "".
func (d *decoder) text(field string) string {
	switch d.s.Kind() {
	case '"':
		return d.string()
	case 'n':
		d.s.Skip()
	default:
		d.mistyped(field, "must be a string")
	}
	return ""
}

// requiredText reads a string that may not be null.
func (d *decoder) requiredText(field string) string {
	if d.s.Kind() == '"' {
		return d.string()
	}
	d.mistyped(field, "must be a string")
	return ""
}

// constant reads the field type of a binary model, which has one value only.
func (d *decoder) constant(field, want string) string {
	if d.s.Kind() != '"' {
		d.mistyped(field, "must be a string")
	} else if string(d.s.Text()) != want {
		d.report(field, messages.RuleEnum, "must be "+want)
	}
	return want
}

// enum reads a string that must be a value of its type. One that is not is
// reported without being kept.
func enum[E messages.Enum[E]](d *decoder, field string) E {
	var none E
	if d.s.Kind() != '"' {
		d.mistyped(field, "must be a string")
		return none
	}
	value := none.Named(d.s.Text())
	if value == none {
		d.report(field, messages.RuleEnum, "must be one of "+none.Allowed())
	}
	return value
}

// integer reads an integer that may not be null.
func (d *decoder) integer(field string) int64 {
	if c := d.s.Kind(); c != '-' && (c < '0' || c > '9') {
		d.mistyped(field, "must be an integer")
		return 0
	}
	n, ok := parseInteger(d.s.Number())
	if !ok {
		d.report(field, messages.RuleType, "must be an integer of at most 64 bits")
	}
	return n
}

// parseInteger returns the integer that a JSON number stands for, in whichever
// form it is written, and whether it is one that fits.
func parseInteger(raw []byte) (int64, bool) {
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err == nil {
		return n, true
	}
	if !bytes.ContainsAny(raw, ".eE") {
		return 0, false
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || f <= -1<<63 || f >= 1<<63 || f != float64(int64(f)) {
		return 0, false
	}
	return int64(f), true
}

// optionalInteger reads an integer or null.
func (d *decoder) optionalInteger(field string) *int64 {
	if d.s.Kind() == 'n' {
		d.s.Skip()
		return nil
	}
	return new(d.integer(field))
}

// boolean reads a boolean or null.
func (d *decoder) boolean(field string) *bool {
	switch c := d.s.Kind(); c {
	case 't', 'f':
		d.s.Skip()
		return new(c == 't')
	case 'n':
		d.s.Skip()
	default:
		d.mistyped(field, "must be true or false")
	}
	return nil
}

// value reads a free-form value: null is unset.
func (d *decoder) value() messages.Value {
	if d.s.Kind() == 'n' {
		d.s.Skip()
		return messages.Value{}
	}
	return messages.TrustedValue(bytes.Clone(d.s.Raw()))
}

// object reads a free-form object: null is unset.
func (d *decoder) object(field string) messages.Value {
	if c := d.s.Kind(); c != '{' && c != 'n' {
		d.mistyped(field, "must be a JSON object")
		return messages.Value{}
	}
	return d.value()
}

// list enters the array that comes next and reports whether there is one; null
// is an unset list.
func (d *decoder) list(field string) bool {
	switch d.s.Kind() {
	case '[':
		d.s.Open()
		return true
	case 'n':
		d.s.Skip()
	default:
		d.mistyped(field, "must be an array")
	}
	return false
}

// isObject reports whether an object comes next, and notes of the message or
// element as a whole that one is needed if not.
func (d *decoder) isObject() bool {
	if d.s.Kind() == '{' {
		return true
	}
	d.mistyped("", "must be a JSON object")
	return false
}
