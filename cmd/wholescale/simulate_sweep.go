package main

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/wholescale/wholescale/simulator"
	"github.com/wholescale/wholescale/simulator/claim"
	"github.com/wholescale/wholescale/simulator/report"
	"github.com/wholescale/wholescale/simulator/tune"
)

// sweep is a grid: each point of the settings that are tuned for the first policy, and each other policy once, in each
// world.
type sweep struct {
	flags          *simulateFlags
	command        *cobra.Command
	args           []string
	policies       []simulator.Policy
	claims         []claim.Claim
	worlds, points []tune.Point
	axes           []string // names of all axes, the world's first
	// tuned and others are the runs of each world, by point and by policy.
	tuned, others [][]report.Run
	frontier      [][]bool // of each world: points, then other policies
	chosen        int      // a point, or -1
}

// sweep runs the grid and says what came of it.
func (f *simulateFlags) sweep(c *cobra.Command, args []string, policies []simulator.Policy, claims []claim.Claim) error {
	if f.aggregated || f.decisions {
		return fmt.Errorf("%w: --sweep goes neither with --aggregated nor with --decisions", errUsage)
	}
	worlds, tuned, err := f.axes()
	if err != nil {
		return err
	}
	s := sweep{flags: f, command: c, args: args, policies: policies, claims: claims}
	for _, a := range append(slices.Clone(worlds), tuned...) {
		s.axes = append(s.axes, a.Name)
	}
	if s.worlds, err = tune.Grid(worlds); err == nil {
		s.points, err = tune.Grid(tuned)
	}
	if err != nil {
		return fmt.Errorf("%w: --sweep: %w", errUsage, err)
	}
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	if err := s.run(); err != nil {
		return err
	}
	s.weigh()
	if f.report != "" {
		if err := s.page(f.report); err != nil {
			return err
		}
		fmt.Fprintln(c.ErrOrStderr(), "the report is in", f.report)
	}
	if err := s.records(f.output).write(c.OutOrStdout(), f.output); err != nil {
		return err
	}
	return s.conclude()
}

// job is one run of the grid.
type job struct {
	world, point, other int // other is -1 for the policy that is tuned
}

func (s *sweep) run() error {
	var jobs []job
	s.tuned, s.others = make([][]report.Run, len(s.worlds)), make([][]report.Run, len(s.worlds))
	for w := range s.worlds {
		s.tuned[w], s.others[w] = make([]report.Run, len(s.points)), make([]report.Run, len(s.policies)-1)
		for o := range s.others[w] {
			jobs = append(jobs, job{world: w, other: o})
		}
		for p := range s.points {
			jobs = append(jobs, job{world: w, point: p, other: -1})
		}
	}
	ctx := s.command.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	bar := newBar(s.command.ErrOrStderr(), 1)
	bar.total = time.Duration(len(jobs))
	defer bar.end()
	var done atomic.Int64
	return tune.Each(ctx, len(jobs), runtime.GOMAXPROCS(0), func(ctx context.Context, i int) error {
		r, err := s.one(ctx, jobs[i], i == 0)
		if err != nil {
			return err
		}
		if j := jobs[i]; j.other < 0 {
			s.tuned[j.world][j.point] = r
		} else {
			s.others[j.world][j.other] = r
		}
		bar.show(0, time.Duration(done.Add(1)))
		return nil
	})
}

// one makes a run; the first one says what the reader left out.
func (s *sweep) one(ctx context.Context, j job, first bool) (report.Run, error) {
	policy, point := s.policies[0], s.points[j.point]
	if j.other >= 0 {
		policy, point = s.policies[j.other+1], nil
	}
	f := s.flags.at(s.worlds[j.world], point)
	f.report = ""
	m, err := f.model(s.args)
	if err != nil {
		return report.Run{}, err
	}
	b := &batch{flags: f, model: m, command: s.command, args: s.args, policies: []simulator.Policy{policy}, quiet: true, context: ctx}
	if !first {
		b.said.Do(func() {})
	}
	results, err := b.run()
	if err != nil {
		return report.Run{}, err
	}
	r := results[0].Run
	r.Series, r.Worst, r.Moments = nil, nil, nil // a sweep keeps figures alone
	return r, nil
}

// weigh finds the frontier of each world and the point to take.
func (s *sweep) weigh() {
	tradeoff := func(r report.Run) tune.Tradeoff {
		return tune.Tradeoff{Money: r.Figures.Money, Waited: r.Figures.WaitSeconds}
	}
	var tuned [][]tune.Tradeoff
	for w := range s.worlds {
		var list []tune.Tradeoff
		for _, r := range s.tuned[w] {
			list = append(list, tradeoff(r))
		}
		tuned = append(tuned, slices.Clone(list))
		for _, r := range s.others[w] {
			if simulator.Policy(r.Name) != simulator.Oracle { // which knows the future, and would be alone on it
				list = append(list, tradeoff(r))
			}
		}
		s.frontier = append(s.frontier, tune.Frontier(list))
	}
	s.chosen = tune.Choose(tuned, s.fits())
}

// fits says of each point whether all that is asserted holds in all worlds; nil when nothing is.
func (s *sweep) fits() []bool {
	if len(s.claims) == 0 {
		return nil
	}
	fits := make([]bool, len(s.points))
	for p := range s.points {
		fits[p] = true
		for w := range s.worlds {
			for i := range s.claims {
				fits[p] = fits[p] && s.claims[i].Judge(s.runs(w, p)).Holds
			}
		}
	}
	return fits
}

// runs are those that a claim about a point is judged by.
func (s *sweep) runs(world, point int) []report.Run {
	return append([]report.Run{s.tuned[world][point]}, s.others[world]...)
}

// conclude says which point was taken, writes it, and fails when none could be.
func (s *sweep) conclude() error {
	w := s.command.ErrOrStderr()
	if s.chosen < 0 {
		return fmt.Errorf("%w: of %d points none makes all of them hold; nothing is written", errRefuted, len(s.points))
	}
	why := "the cheapest for which all that is asserted holds"
	if len(s.claims) == 0 {
		why = "money and waiting weighed alike; --assert says what must hold"
	}
	name := s.points[s.chosen].String()
	if name == "" {
		name = "no setting was tuned"
	}
	fmt.Fprintf(w, "chosen: %s (%s)\n", name, why)
	for world := range s.worlds {
		if len(s.claims) > 0 && len(s.worlds) > 1 {
			fmt.Fprintf(w, "with %s:\n", s.worlds[world])
		}
		if err := judge(w, s.claims, s.runs(world, s.chosen)); err != nil {
			return err
		}
	}
	if s.flags.writeTo == "" {
		return nil
	}
	f := s.flags.at(nil, s.points[s.chosen])
	m, err := f.model(s.args)
	if err != nil {
		return err
	}
	text := "chosen by wholescale simulate --sweep: " + name + "\n" + strings.Join(s.flags.asserts, "\n")
	return f.writeObjects(s.flags.writeTo, text, &m)
}

// tableFields are what a table has room for; the other formats have all.
var tableFields = []string{"money", "waitP50Ms", "waitP99Ms", "waitSeconds", "waitedOver1s", "errors", "podHours", "nodeHours", "violations"}

func (s *sweep) records(format string) records {
	out := records{key: "policy"}
	add := func(r report.Run, world, point tune.Point, on, chosen bool) {
		row := record{name: strings.TrimSpace(strings.Join([]string{r.Name, world.String(), point.String()}, " "))}
		if format == "table" {
			row.name = r.Name
		}
		for _, name := range s.axes {
			value := ""
			for _, v := range append(slices.Clone(world), point...) {
				if v.Name == name {
					value = v.Value.Text
				}
			}
			row.fields = append(row.fields, field{name, value})
		}
		for _, f := range report.Fields() {
			if format != "table" || slices.Contains(tableFields, f.Name) {
				row.fields = append(row.fields, field{f.Name, f.Value(r.Figures)})
			}
		}
		row.fields = append(row.fields, field{"frontier", on}, field{"chosen", chosen})
		out.rows = append(out.rows, row)
	}
	s.each(func(world, point, at int, r report.Run) {
		var p tune.Point
		if point >= 0 {
			p = s.points[point]
		}
		add(r, s.worlds[world], p, at >= 0 && s.frontier[world][at], point >= 0 && point == s.chosen)
	})
	return out
}

// each calls do for all runs of a world and then of the next; at is the place on the frontier, -1 for the oracle, which has
// none, and point -1 for policies that were not tuned.
func (s *sweep) each(do func(world, point, at int, r report.Run)) {
	for w := range s.worlds {
		at := 0
		for p, r := range s.tuned[w] {
			do(w, p, at, r)
			at++
		}
		for _, r := range s.others[w] {
			if simulator.Policy(r.Name) == simulator.Oracle {
				do(w, -1, -1, r)
				continue
			}
			do(w, -1, at, r)
			at++
		}
	}
}

// page writes the frontier of each world.
func (s *sweep) page(path string) error {
	maps := make([]report.Map, len(s.worlds))
	for w := range maps {
		maps[w].Title = s.worlds[w].String()
	}
	s.each(func(world, point, at int, r report.Run) {
		p := report.Spot{Name: r.Name, Figures: *r.Figures, Frontier: at >= 0 && s.frontier[world][at], Chosen: point >= 0 && point == s.chosen}
		if point >= 0 {
			p.Label = s.points[point].String()
		}
		maps[world].Spots = append(maps[world].Spots, p)
	})
	var b bytes.Buffer
	if err := report.Frontier(&b, "Money against waiting: "+s.flags.title(s.args), maps); err != nil {
		return err
	}
	return replaceFile(path, b.Bytes())
}
