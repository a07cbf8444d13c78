package codec

import (
	"slices"
	"strconv"

	"github.com/aip-go/aip/messages"
)

// maxListed bounds how many wrong elements of one list are described, so that
// a hostile list cannot make a report many times its own size.
const maxListed = 100

// fault is a wrong field, as it is noted while reading. What is wrong inside of
// it stays in its parts, so that an object has few faults of its own, however
// many its lists have: they are looked through for every key that follows.
type fault struct {
	field         string // "[2]" for an element of a list, "" for the value itself
	rule, message string // unset if it is the parts that are wrong
	parts         []fault
}

// report notes that a field of the open object is wrong.
func (d *decoder) report(field, rule, message string) {
	d.wrong = append(d.wrong, fault{field: field, rule: rule, message: message})
}

// mistyped passes over a value of the wrong type and notes what is needed.
func (d *decoder) mistyped(field, message string) {
	d.s.Skip()
	d.report(field, messages.RuleType, message)
}

// required notes that a field is missing, unless it was present.
func (d *decoder) required(present bool, field string) {
	if !present {
		d.report(field, messages.RuleRequired, "is required")
	}
}

// within makes the faults since start the parts of one, of that field.
func (d *decoder) within(start int, field string) {
	if len(d.wrong) > start {
		parts := slices.Clone(d.wrong[start:])
		d.wrong = append(d.wrong[:start], fault{field: field, parts: parts})
	}
}

// element makes the faults since start those of an element of the list whose
// faults begin at list. Beyond maxListed elements it only counts.
func (d *decoder) element(list, start, index int, omitted *int) {
	switch {
	case len(d.wrong) == start:
	case start-list < maxListed:
		d.within(start, "["+strconv.Itoa(index)+"]")
	default:
		d.wrong = d.wrong[:start]
		*omitted++
	}
}

// endList makes the faults since start those of a list, and notes how many
// wrong elements are not described.
func (d *decoder) endList(start int, field string, omitted int) {
	d.within(start, field)
	if omitted > 0 {
		d.report(field, messages.RuleMore, "has "+strconv.Itoa(omitted)+" more wrong elements")
	}
}

// forget takes back what was noted of a field since start.
func (d *decoder) forget(start int, field []byte) {
	kept := d.wrong[:start]
	for _, f := range d.wrong[start:] {
		if f.field != string(field) {
			kept = append(kept, f)
		}
	}
	d.wrong = kept
}

// appendFaults appends what the faults of the value at path say, each with its
// path from the root.
func appendFaults(fields []messages.FieldError, path string, faults []fault) []messages.FieldError {
	for _, f := range faults {
		at := path + f.field
		if path != "" && f.field != "" && f.field[0] != '[' {
			at = path + "." + f.field
		}
		if f.parts != nil {
			fields = appendFaults(fields, at, f.parts)
			continue
		}
		fields = append(fields, messages.FieldError{Path: at, Rule: f.rule, Message: f.message})
	}
	return fields
}
