package codec

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/aip-go/aip/internal/jsonscan"
	"github.com/aip-go/aip/messages"
)

// maxListed bounds how many wrong elements of one list are described, so that
// a hostile list cannot make a report many times its own size.
const maxListed = 100

// decoder reads one model from JSON text. The scanner holds what is wrong with
// the text; wrong holds what is wrong with the values.
type decoder struct {
	s     jsonscan.Scanner
	wrong []messages.FieldError
}

// begin enters the object that comes next.
func (d *decoder) begin() { d.s.Open() }

// next moves to the next member of the open object, whose report begins at
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

// forget takes back what was reported of the field key since start.
func (d *decoder) forget(start int, key []byte) {
	kept := d.wrong[:start]
	for _, field := range d.wrong[start:] {
		rest, found := strings.CutPrefix(field.Path, string(key))
		if !found || (rest != "" && rest[0] != '.' && rest[0] != '[') {
			kept = append(kept, field)
		}
	}
	d.wrong = kept
}

// report notes that the field at path is wrong.
func (d *decoder) report(path, rule, message string) {
	d.wrong = append(d.wrong, messages.FieldError{Path: path, Rule: rule, Message: message})
}

// mistyped passes over a value of the wrong type and notes what is needed.
func (d *decoder) mistyped(path, message string) {
	d.s.Skip()
	d.report(path, messages.RuleType, message)
}

// required notes that the field at path is missing, unless it was present.
func (d *decoder) required(present bool, path string) {
	if !present {
		d.report(path, messages.RuleRequired, "is required")
	}
}

// within puts the report since start under the field prefix.
func (d *decoder) within(start int, prefix string) {
	for i := start; i < len(d.wrong); i++ {
		d.wrong[i].Path = prefix + "." + d.wrong[i].Path
	}
}

// element puts the report since start under element index of the list path.
// Beyond maxListed reports of one list, which begin at list, it only counts.
func (d *decoder) element(list, start int, path string, index int, omitted *int) {
	if len(d.wrong) == start {
		return
	}
	if start-list >= maxListed {
		*omitted += len(d.wrong) - start
		d.wrong = d.wrong[:start]
		return
	}
	at := path + "[" + strconv.Itoa(index) + "]"
	for i := start; i < len(d.wrong); i++ {
		if d.wrong[i].Path == "" {
			d.wrong[i].Path = at
		} else {
			d.wrong[i].Path = at + "." + d.wrong[i].Path
		}
	}
}

// more notes how many wrong elements of the list at path are not described.
func (d *decoder) more(path string, omitted int) {
	if omitted > 0 {
		d.report(path, messages.RuleMore, "has "+strconv.Itoa(omitted)+" more wrong fields")
	}
}

// text reads an optional string: null is "".
func (d *decoder) text(path string) string {
	switch d.s.Kind() {
	case '"':
		return d.s.String()
	case 'n':
		d.s.Skip()
	default:
		d.mistyped(path, "must be a string")
	}
	return ""
}

// requiredText reads a string that may not be null.
func (d *decoder) requiredText(path string) string {
	if d.s.Kind() == '"' {
		return d.s.String()
	}
	d.mistyped(path, "must be a string")
	return ""
}

// constant reads the field type of a binary model, which has one value only.
func (d *decoder) constant(path, want string) string {
	if d.s.Kind() != '"' {
		d.mistyped(path, "must be a string")
	} else if string(d.s.Text()) != want {
		d.report(path, messages.RuleEnum, "must be "+want)
	}
	return want
}

// integer reads an integer that may not be null.
func (d *decoder) integer(path string) int64 {
	if c := d.s.Kind(); c != '-' && (c < '0' || c > '9') {
		d.mistyped(path, "must be an integer")
		return 0
	}
	n, ok := parseInteger(d.s.Number())
	if !ok {
		d.report(path, messages.RuleType, "must be an integer of at most 64 bits")
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
	if err != nil || f < -1<<63 || f >= 1<<63 || f != float64(int64(f)) {
		return 0, false
	}
	return int64(f), true
}

// optionalInteger reads an integer or null.
func (d *decoder) optionalInteger(path string) *int64 {
	if d.s.Kind() == 'n' {
		d.s.Skip()
		return nil
	}
	return new(d.integer(path))
}

// boolean reads a boolean or null.
func (d *decoder) boolean(path string) *bool {
	switch c := d.s.Kind(); c {
	case 't', 'f':
		d.s.Skip()
		return new(c == 't')
	case 'n':
		d.s.Skip()
	default:
		d.mistyped(path, "must be true or false")
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
func (d *decoder) object(path string) messages.Value {
	if c := d.s.Kind(); c != '{' && c != 'n' {
		d.mistyped(path, "must be a JSON object")
		return messages.Value{}
	}
	return d.value()
}

// list enters the array that comes next and reports whether there is one; null
// is an unset list.
func (d *decoder) list(path string) bool {
	switch d.s.Kind() {
	case '[':
		d.s.Open()
		return true
	case 'n':
		d.s.Skip()
	default:
		d.mistyped(path, "must be an array")
	}
	return false
}

// isObject reports whether an object comes next, and notes under no path that
// one is needed if not.
func (d *decoder) isObject() bool {
	if d.s.Kind() == '{' {
		return true
	}
	d.mistyped("", "must be a JSON object")
	return false
}
