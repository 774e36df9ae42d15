package tune

import (
	"context"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"
)

// Setting is a name with a value.
type Setting struct {
	Name  string
	Value Value
}

// Point is a value for each of some axes, in their order. The empty point changes nothing.
type Point []Setting

func (p Point) String() string {
	parts := make([]string, len(p))
	for i, s := range p {
		parts[i] = s.Name + "=" + s.Value.Text
	}
	return strings.Join(parts, " ")
}

// Grid is all combinations of the axes' values, the last axis changing first; of no axis it is the empty point alone.
func Grid(axes []Axis) ([]Point, error) {
	points := []Point{{}}
	seen := map[string]bool{}
	for _, a := range axes {
		if seen[a.Name] {
			return nil, fmt.Errorf("%s is there twice", a.Name)
		}
		seen[a.Name] = true
		if len(points)*len(a.Values) > mostPoints {
			return nil, fmt.Errorf("the grid has more than %d points", mostPoints)
		}
		next := make([]Point, 0, len(points)*len(a.Values))
		for _, p := range points {
			for _, v := range a.Values {
				next = append(next, append(p[:len(p):len(p)], Setting{Name: a.Name, Value: v}))
			}
		}
		points = next
	}
	return points, nil
}

// Each calls do for each of 0 to n-1, so many at once, and ends with the first error; a job under way is told by its
// context.
func Each(ctx context.Context, n, atOnce int, do func(ctx context.Context, i int) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(max(1, atOnce))
	for i := range n {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return do(ctx, i)
		})
	}
	return g.Wait()
}
