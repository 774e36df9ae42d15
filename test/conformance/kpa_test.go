// Package conformance holds the policy kpa to what Knative's own autoscaler decided on the same inputs.
//
//	go test ./test/conformance                     the vectors in ../shared/conformance
//	go test ./test/conformance -vectors DIR        or WHOLESCALE_VECTORS=DIR: every *.json in DIR
package conformance

import (
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/autoscaler/window"
)

var vectors = flag.String("vectors", os.Getenv("WHOLESCALE_VECTORS"), "folder with vectors (default: shared/conformance beside the repository)")

// zero is time 0 of all vectors: an even Unix second, which matters to the delay's buckets.
const zero = 1700000000

type testCase struct {
	Name                 string    `json:"name"`
	Spec                 spec      `json:"spec"`
	ReadyAtStart         int       `json:"readyAtStart"`
	ConcurrencyPerSecond []float64 `json:"concurrencyPerSecond"`
	Steps                []step    `json:"steps"`
}

type spec struct {
	Target              float64 `json:"target"`
	Total               float64 `json:"total"`
	TargetBurstCapacity float64 `json:"targetBurstCapacity"`
	PanicThreshold      float64 `json:"panicThreshold"`
	MaxScaleUpRate      float64 `json:"maxScaleUpRate"`
	MaxScaleDownRate    float64 `json:"maxScaleDownRate"`
	StableWindow        float64 `json:"stableWindowSeconds"`
	PanicWindow         float64 `json:"panicWindowSeconds"`
	ScaleDownDelay      float64 `json:"scaleDownDelaySeconds"`
	ActivationScale     int     `json:"activationScale"`
	Reachable           bool    `json:"reachable"`
}

type step struct {
	AtSeconds           float64 `json:"atSeconds"`
	Ready               int     `json:"ready"`
	Stable              float64 `json:"stable"`
	Panic               float64 `json:"panic"`
	Want                int     `json:"want"`
	ExcessBurstCapacity int     `json:"excessBurstCapacity"`
}

func (s spec) policy() autoscaler.Policy {
	return autoscaler.Policy{
		Name: autoscaler.KPA, Target: s.Target, Total: s.Total, BurstCapacity: s.TargetBurstCapacity,
		PanicThreshold: s.PanicThreshold, UpRate: s.MaxScaleUpRate, DownRate: s.MaxScaleDownRate,
		StableWindow: seconds(s.StableWindow), PanicWindow: seconds(s.PanicWindow), ScaleDownDelay: seconds(s.ScaleDownDelay),
		Activation: s.ActivationScale, Unreachable: !s.Reachable,
	}
}

func TestKPA(t *testing.T) {
	for _, file := range files(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var cases []testCase
			if err := json.Unmarshal(data, &cases); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			steps, wrong := 0, 0
			for _, c := range cases {
				steps += len(c.Steps)
				wrong += replay(t, c)
			}
			t.Logf("conformance: %d cases, %d steps, %d mismatches", len(cases), steps, wrong)
			if steps == 0 {
				t.Errorf("%s holds no step", file)
			}
		})
	}
}

// replay decides each step of a case and returns how many differ from Knative's answer.
func replay(t *testing.T, c testCase) (wrong int) {
	p := c.Spec.policy()
	memo := autoscaler.FirstMemo(autoscaler.WorkloadID(c.Name), c.ReadyAtStart, at(0))
	stable, panicked := window.New(p.StableWindow), window.New(p.PanicWindow)
	next := 0
	for _, s := range c.Steps {
		now := at(s.AtSeconds)
		d := autoscaler.Demand{Stable: s.Stable, Panic: s.Panic}
		if c.ConcurrencyPerSecond != nil {
			for ; next < len(c.ConcurrencyPerSecond) && float64(next) <= s.AtSeconds; next++ {
				stable.Add(at(float64(next)), c.ConcurrencyPerSecond[next])
				panicked.Add(at(float64(next)), c.ConcurrencyPerSecond[next])
			}
			d = autoscaler.Demand{Stable: stable.Mean(now), Panic: panicked.Mean(now)}
		}
		var want, excess int
		want, excess, memo = autoscaler.DecideKPA(p, s.Ready, d, now, memo)
		if want != s.Want || math.Abs(float64(excess-s.ExcessBurstCapacity)) > 1 ||
			math.Abs(d.Stable-s.Stable) > 1e-6 || math.Abs(d.Panic-s.Panic) > 1e-6 {
			wrong++
			t.Errorf("%s at %v s, %d ready: %d replicas, excess %d, averages %v and %v; Knative: %d, %d, %v and %v",
				c.Name, s.AtSeconds, s.Ready, want, excess, d.Stable, d.Panic, s.Want, s.ExcessBurstCapacity, s.Stable, s.Panic)
		}
	}
	return wrong
}

func files(t *testing.T) []string {
	dir := *vectors
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "conformance")
		if _, err := os.Stat(dir); err != nil {
			t.Skipf("no vectors: %s is not there; give -vectors DIR or WHOLESCALE_VECTORS", dir)
		}
	}
	found, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(found) == 0 {
		t.Fatalf("no *.json in %s (%v)", dir, err)
	}
	return found
}

func at(s float64) time.Time          { return time.Unix(zero, 0).UTC().Add(seconds(s)) }
func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
