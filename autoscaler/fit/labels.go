package fit

import (
	"slices"
	"strconv"
	"strings"
)

// Label is a key and a value.
type Label struct{ Key, Value string }

// Labels are sorted by key and hold each key once; NewLabels makes them.
type Labels []Label

// NewLabels sorts a map of labels.
func NewLabels(m map[string]string) Labels {
	if len(m) == 0 {
		return nil
	}
	list := make(Labels, 0, len(m))
	for key, value := range m {
		list = append(list, Label{key, value})
	}
	slices.SortFunc(list, func(a, b Label) int { return strings.Compare(a.Key, b.Key) })
	return list
}

// Get is the value of a key, and whether there is one.
func (l Labels) Get(key string) (string, bool) {
	i, ok := slices.BinarySearchFunc(l, key, func(l Label, key string) int { return strings.Compare(l.Key, key) })
	if !ok {
		return "", false
	}
	return l[i].Value, true
}

// Or is the labels with one more, unless they have its key.
func (l Labels) Or(key, value string) Labels {
	i, there := slices.BinarySearchFunc(l, key, func(l Label, key string) int { return strings.Compare(l.Key, key) })
	if there {
		return l
	}
	return slices.Insert(slices.Clone(l), i, Label{Key: key, Value: value})
}

// Operator is how a Requirement compares a label.
type Operator uint8

// A label selector has the first four; a node selector has Greater and Less too.
const (
	// In: the label is there and has one of the values.
	In Operator = iota + 1
	// NotIn: the label is not there, or has none of the values.
	NotIn
	// Exists and Absent look at the key alone.
	Exists
	Absent
	// Greater and Less: the label is an integer above or below the one value.
	Greater
	Less
)

// Requirement is a condition on one label.
type Requirement struct {
	Key      string
	Operator Operator
	// Values are sorted; Exists and Absent have none, Greater and Less one.
	Values []string
}

// Matches says that the labels meet the requirement.
func (r *Requirement) Matches(l Labels) bool {
	value, there := l.Get(r.Key)
	switch r.Operator {
	case In:
		return there && slices.Contains(r.Values, value)
	case NotIn:
		return !there || !slices.Contains(r.Values, value)
	case Exists:
		return there
	case Absent:
		return !there
	case Greater, Less:
		return there && len(r.Values) == 1 && compares(value, r.Operator, r.Values[0])
	}
	return false
}

func compares(value string, operator Operator, bound string) bool {
	a, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return false
	}
	b, err := strconv.ParseInt(bound, 10, 64)
	if err != nil {
		return false
	}
	return operator == Greater && a > b || operator == Less && a < b
}

// Selector matches labels that meet all its requirements. One with none matches everything unless Nothing is set: a
// selector that is not given in a pod's term matches no pod at all.
type Selector struct {
	Requirements []Requirement
	Nothing      bool
}

// Matches says that the labels meet the selector.
func (s *Selector) Matches(l Labels) bool {
	return !s.Nothing && meets(s.Requirements, l)
}

// Everything says that the selector matches whatever the labels are.
func (s *Selector) Everything() bool { return !s.Nothing && len(s.Requirements) == 0 }

func meets(requirements []Requirement, l Labels) bool {
	for i := range requirements {
		if !requirements[i].Matches(l) {
			return false
		}
	}
	return true
}
