package scenario

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/autoscaler/fit"
)

// The fields of a shape: what one pod asks of a node. What they cannot say stands in one field, rules, as JSON.

// topologies have short names.
var topologies = map[string]string{"zone": fit.LabelZone, "host": fit.LabelHostname}

func topologyOf(name string) string {
	if key, ok := topologies[name]; ok {
		return key
	}
	return name
}

func nameOf(key string) string {
	for _, name := range []string{"zone", "host"} {
		if topologies[name] == key {
			return name
		}
	}
	return key
}

// shape reads the needs and rules of one pod; namespace is of the pod, for its terms.
func (b *builder) shape(r *record) autoscaler.Shape {
	s := autoscaler.Shape{Needs: r.resources(autoscaler.Resources{CPU: 1000, Memory: 1 << 30, Pods: 1})}
	p := fit.Pod{Labels: r.labels("labels"), Selector: r.labels("selector"), Tolerations: field(r, "tolerates", nil, parseTolerations)}
	if namespace, _, found := strings.Cut(r.name, "/"); found {
		p.Namespace = namespace
	}
	extended := field(r, "more", nil, parseAmounts)
	p.Ports = field(r, "ports", nil, parsePorts)
	p.Spread = field(r, "spread", nil, func(s string) ([]fit.Spread, error) { return parseSpreads(s, p.Labels) })
	term := func(s string) ([]fit.Term, error) { return parseTerms(s, &p) }
	p.Near, p.Away = field(r, "near", nil, term), field(r, "away", nil, term)
	p.Foreign, p.Stuck = r.text("foreign"), r.text("stuck")
	p.Priority = int32(r.int("preempts", 0))
	if text := r.text("rules"); text != "" {
		var whole fit.Pod
		if err := json.Unmarshal([]byte(text), &whole); err != nil {
			r.fail("rules", err)
		}
		p = whole
	}
	p.Needs = amounts(s.Needs, extended)
	if bare(&p) {
		return s
	}
	s.Rules = b.shared(p)
	return s
}

// shared is one pod for all that are equal.
func (b *builder) shared(p fit.Pod) *fit.Pod {
	key := p.Key()
	if b.rules[key] == nil {
		b.rules[key] = &p
	}
	return b.rules[key]
}

// bare says that the pod asks for CPU and memory alone.
func bare(p *fit.Pod) bool {
	q := *p
	q.Namespace = ""
	q.Needs = slices.DeleteFunc(slices.Clone(q.Needs), func(a fit.Amount) bool { return a.Name == fit.CPU || a.Name == fit.Memory })
	return q.Key() == (&fit.Pod{}).Key()
}

func amounts(r autoscaler.Resources, extended fit.Amounts) fit.Amounts {
	list := slices.Clone(extended)
	for _, a := range []fit.Amount{{Name: fit.CPU, Value: r.CPU}, {Name: fit.Memory, Value: r.Memory}} {
		if a.Value > 0 {
			list = append(list, a)
		}
	}
	slices.SortFunc(list, func(a, b fit.Amount) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// parseAmounts reads "nvidia.com/gpu:1,ephemeral-storage:100".
func parseAmounts(s string) (list fit.Amounts, err error) {
	if s == none {
		return nil, nil
	}
	for _, part := range strings.Split(s, ",") {
		name, text, found := strings.Cut(part, ":")
		n, err := strconv.ParseInt(text, 10, 64)
		if !found || err != nil || n < 0 || n > 1e15 || name == "" || name == fit.CPU || name == fit.Memory || name == fit.Pods {
			return nil, errors.New("not amounts of further resources such as nvidia.com/gpu:1")
		}
		list = append(list, fit.Amount{Name: name, Value: n})
	}
	slices.SortFunc(list, func(a, b fit.Amount) int { return strings.Compare(a.Name, b.Name) })
	for i := 1; i < len(list); i++ {
		if list[i].Name == list[i-1].Name {
			return nil, fmt.Errorf("%s is given twice", list[i].Name)
		}
	}
	return list, nil
}

func parseTolerations(s string) (all []autoscaler.Toleration, err error) {
	for _, part := range strings.Split(s, ",") {
		rest, name, _ := strings.Cut(part, ":")
		key, value, valued := strings.Cut(rest, "=")
		effect, ok := effects[name]
		if !ok {
			return nil, errors.New("an effect is NoSchedule or NoExecute")
		}
		all = append(all, autoscaler.Toleration{Key: strings.TrimPrefix(key, "*"), Value: value, Effect: effect, Exists: !valued})
	}
	return all, nil
}

var effects = map[string]fit.Effect{"": fit.AnyEffect, "NoSchedule": fit.NoSchedule, "NoExecute": fit.NoExecute}

func effectName(e fit.Effect) string {
	return [...]string{fit.AnyEffect: "", fit.NoSchedule: "NoSchedule", fit.NoExecute: "NoExecute"}[e]
}

// parsePorts reads "8080,53/UDP".
func parsePorts(s string) (list []fit.Port, err error) {
	for _, part := range strings.Split(s, ",") {
		text, protocol, found := strings.Cut(part, "/")
		if !found {
			protocol = "TCP"
		}
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return nil, errors.New("not ports such as 8080,53/UDP")
		}
		list = append(list, fit.Port{Protocol: protocol, Number: int32(n)})
	}
	return list, nil
}

// parseSpreads reads "zone/1,host/2": a topology and the largest skew, over pods that have all of the pod's own labels.
func parseSpreads(s string, own fit.Labels) (list []fit.Spread, err error) {
	for _, part := range strings.Split(s, ",") {
		name, text, found := strings.Cut(part, "/")
		skew, err := strconv.Atoi(text)
		if !found || err != nil || skew < 1 || skew > mostCount {
			return nil, errors.New("not a spread such as zone/1")
		}
		list = append(list, fit.Spread{Topology: topologyOf(name), MaxSkew: skew, MinDomains: 1, Selector: selecting(own)})
	}
	return list, nil
}

// parseTerms reads "host,zone:app=db": a topology, of pods with these labels or with all of the pod's own.
func parseTerms(s string, p *fit.Pod) (list []fit.Term, err error) {
	for _, part := range strings.Split(s, ",") {
		name, label, found := strings.Cut(part, ":")
		labels := p.Labels
		if found {
			key, value, ok := strings.Cut(label, "=")
			if !ok {
				return nil, errors.New("not a term such as host or zone:app=db")
			}
			labels = fit.Labels{{Key: key, Value: value}}
		}
		list = append(list, fit.Term{Topology: topologyOf(name), Namespaces: []string{p.Namespace}, NamespaceSelector: fit.Selector{Nothing: true}, Selector: selecting(labels)})
	}
	return list, nil
}

func selecting(labels fit.Labels) fit.Selector {
	var s fit.Selector
	for _, l := range labels {
		s.Requirements = append(s.Requirements, fit.Requirement{Key: l.Key, Operator: fit.In, Values: []string{l.Value}})
	}
	return s
}

// shapeFields prints a shape in fields where those read back to the same, and its rules as JSON where they do not.
func shapeFields(name string, s autoscaler.Shape) string {
	needs := resourceFields(s.Needs)
	if s.Rules == nil {
		return needs
	}
	text := needs + ruleFields(s.Rules)
	b := builder{rules: map[string]*fit.Pod{}}
	if r, err := parseRecord("pod " + name + text); err == nil {
		if again := b.shape(r); r.err == nil && again.Rules != nil && again.Rules.Key() == s.Rules.Key() {
			return text
		}
	}
	rules, err := json.Marshal(s.Rules)
	if err != nil {
		panic("scenario: rules are plain data: " + err.Error())
	}
	return needs + moreField(s.Rules.Needs) + textField("rules", string(rules))
}

func ruleFields(p *fit.Pod) string {
	var ports, spreads []string
	for _, port := range p.Ports {
		text := strconv.Itoa(int(port.Number))
		if port.Protocol != "TCP" {
			text += "/" + port.Protocol
		}
		ports = append(ports, text)
	}
	for _, s := range p.Spread {
		spreads = append(spreads, fmt.Sprintf("%s/%d", nameOf(s.Topology), s.MaxSkew))
	}
	return labelField("labels", p.Labels) + labelField("selector", p.Selector) + textField("tolerates", tolerationText(p.Tolerations)) +
		moreField(p.Needs) + textField("ports", strings.Join(ports, ",")) + textField("spread", strings.Join(spreads, ",")) +
		textField("near", termText(p.Near, p.Labels)) + textField("away", termText(p.Away, p.Labels)) +
		textField("foreign", p.Foreign) + textField("stuck", p.Stuck) + intField("preempts", int(p.Priority))
}

func moreField(needs fit.Amounts) string {
	var parts []string
	for _, a := range needs {
		if a.Name != fit.CPU && a.Name != fit.Memory && a.Name != fit.Pods {
			parts = append(parts, fmt.Sprintf("%s:%d", a.Name, a.Value))
		}
	}
	return textField("more", strings.Join(parts, ","))
}

func termText(terms []fit.Term, own fit.Labels) string {
	var parts []string
	for i := range terms {
		text := nameOf(terms[i].Topology)
		if r := terms[i].Selector.Requirements; len(r) == 1 && len(r[0].Values) == 1 && len(own) != 1 {
			text += ":" + r[0].Key + "=" + r[0].Values[0]
		} else if len(r) == 1 && len(r[0].Values) == 1 && (own[0].Key != r[0].Key || own[0].Value != r[0].Values[0]) {
			text += ":" + r[0].Key + "=" + r[0].Values[0]
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ",")
}

func tolerationText(list []autoscaler.Toleration) string {
	parts := make([]string, len(list))
	for i, t := range list {
		parts[i] = t.Key
		if t.Key == "" {
			parts[i] = "*"
		}
		if !t.Exists {
			parts[i] += "=" + t.Value
		}
		if name := effectName(t.Effect); name != "" {
			parts[i] += ":" + name
		}
	}
	return strings.Join(parts, ",")
}
