package truth

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/wholescale/wholescale/simulator/trace"
)

// Shapes are the scenarios that the simulator is held to, each from zero to zero.
func Shapes() ([]Scenario, error) {
	llm, err := trace.AzureLLMSample(trace.ServiceModel{Base: 20 * time.Millisecond, PerContext: 20 * time.Microsecond, PerGenerated: 8 * time.Millisecond})
	if err != nil {
		return nil, err
	}
	base := Scenario{
		Workload: "chat", Host: "chat.truth.example", Slots: 4, Window: 10 * time.Second, StartDelay: 500 * time.Millisecond,
		IdleAfter: 5 * time.Second, Nodes: 8, PricePerHour: 0.12, Boot: "normal:3s,500ms",
	}
	var list []Scenario
	for _, s := range []struct {
		name     string
		requests []trace.Request
	}{
		{"steady", poisson(1, span{0, 60 * time.Second}, 12)},
		{"burst", slices.Concat(burst(0, 40), burst(35*time.Second, 60))},
		{"on-off", slices.Concat(
			// One pause well within the stable window, one after which all is gone: at the edge of either, chance alone decides.
			poisson(2, span{0, 10 * time.Second}, 15), poisson(3, span{17 * time.Second, 27 * time.Second}, 15), poisson(4, span{60 * time.Second, 70 * time.Second}, 15),
		)},
		{"llm", trace.Slice(llm, 10*time.Minute, 60*time.Second)},
	} {
		c := base
		c.Name, c.Requests = s.name, s.requests
		list = append(list, c)
	}
	return list, nil
}

// Named are those of Shapes that are asked for; all without a name.
func Named(names []string) ([]Scenario, error) {
	list, err := Shapes()
	if err != nil || len(names) == 0 {
		return list, err
	}
	var chosen []Scenario
	for _, name := range names {
		i := slices.IndexFunc(list, func(s Scenario) bool { return s.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no shape %q; there are steady, burst, on-off and llm", name)
		}
		chosen = append(chosen, list[i])
	}
	return chosen, nil
}

type span struct{ from, until time.Duration }

// poisson is requests at a rate a second, of 300 ms on average.
func poisson(seed uint64, when span, rate float64) (list []trace.Request) {
	r := rand.New(rand.NewPCG(seed, 7))
	for at := when.from; ; {
		at += time.Duration(r.ExpFloat64() / rate * float64(time.Second))
		if at >= when.until {
			return list
		}
		list = append(list, trace.Request{At: at, Service: 100*time.Millisecond + time.Duration(r.ExpFloat64()*float64(200*time.Millisecond))})
	}
}

// burst is so many requests of a second each at once.
func burst(at time.Duration, n int) (list []trace.Request) {
	for range n {
		list = append(list, trace.Request{At: at, Service: time.Second})
	}
	return list
}
