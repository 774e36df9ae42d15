package simulator

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wholescale/wholescale/autoscaler"
)

// Policy names who decides: one of Policies, or two of its parts as in "kpa+karpenter".
type Policy string

// The policies.
const (
	// OneLoop is Plan, by each workload's own Policy.Name.
	OneLoop Policy = ""
	// Wholescale and KPA are Plan with the rules of that name for replicas, and Wholescale's one loop for machines.
	Wholescale Policy = "wholescale"
	KPA        Policy = "kpa"
	// Oracle knows the future: a floor, not a policy. See runOracle.
	Oracle Policy = "oracle"
)

// Scalers and Buyers are the halves that the rivals' policies are made of.
var (
	scalers = []string{"kpa", "hpa", "keepalive", "hybrid", "static"}
	buyers  = []string{"ca", "karpenter"}
)

// Policies are what people compare by, in the order of the documentation. A scaler without a buyer is with Cluster
// Autoscaler's; static buys its nodes once.
func Policies() []Policy {
	list := []Policy{Wholescale, KPA}
	for _, s := range scalers {
		for _, b := range buyers {
			list = append(list, Policy(s+"+"+b))
		}
	}
	return append(list, "hpa", "keepalive", "hybrid", "static", Oracle)
}

// Validate says what a policy may be.
func (p Policy) Validate() error {
	if p == OneLoop || slices.Contains(Policies(), p) {
		return nil
	}
	var names []string
	for _, n := range Policies() {
		names = append(names, string(n))
	}
	return fmt.Errorf("policy %q: it is one of %s", string(p), strings.Join(names, ", "))
}

// NeedsPeaks says that a policy needs Config.Peaks.
func (p Policy) NeedsPeaks() bool { return p == "static" || strings.HasPrefix(string(p), "static+") }

// keepAliveIdle is the fixed keep-alive: the ten minutes of the paper that compared it.
const keepAliveIdle = 10 * time.Minute

func newDecider(s *simulation) (decider, error) {
	if err := s.Policy.Validate(); err != nil {
		return nil, err
	}
	switch s.Policy {
	case OneLoop:
		return newOneLoop(s), nil
	case Wholescale, KPA:
		s.rules = autoscaler.PolicyName(s.Policy)
		return newOneLoop(s), nil
	}
	l := &twoLoops{s: s}
	scaler, buyer, _ := strings.Cut(string(s.Policy), "+")
	switch scaler {
	case "kpa":
		l.scaler = &knative{s: s}
	case "hpa":
		l.scaler = &hpa{s: s}
	case "keepalive":
		l.scaler = &keepAlive{s: s, idle: keepAliveIdle}
	case "hybrid":
		l.scaler = &hybrid{s: s}
	default:
		l.scaler = &always{s: s}
	}
	switch {
	case buyer == "karpenter":
		l.buyer = &karpenter{s: s, first: -1}
	case buyer == "" && scaler == "static":
		l.buyer = fixed{&karpenter{s: s, first: -1}}
	default:
		l.buyer = newClusterAutoscaler(s)
	}
	return l, nil
}
