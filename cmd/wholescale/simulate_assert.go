package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/wholescale/wholescale/simulator"
	"github.com/wholescale/wholescale/simulator/claim"
	"github.com/wholescale/wholescale/simulator/report"
)

// errRefuted marks an assertion that does not hold.
var errRefuted = errors.New("assertion")

// claims are those of --assert, read before anything is run.
func (f *simulateFlags) claims(policies []simulator.Policy) ([]claim.Claim, error) {
	names := make([]string, len(policies))
	for i, p := range policies {
		names[i] = string(p)
	}
	var list []claim.Claim
	for _, text := range f.asserts {
		c, err := claim.Parse(text, names)
		if err != nil {
			return nil, fmt.Errorf("%w: --assert: %w", errUsage, err)
		}
		list = append(list, c)
	}
	return list, nil
}

// judge prints what each claim came to.
func judge(w io.Writer, claims []claim.Claim, runs []report.Run) error {
	refuted := 0
	for i := range claims {
		v := claims[i].Judge(runs)
		word := "holds"
		if !v.Holds {
			word = "FAILS"
			refuted++
		}
		fmt.Fprintf(w, "%s  %s\n", word, v.Text)
	}
	if refuted > 0 {
		return fmt.Errorf("%w: %d of %d do not hold", errRefuted, refuted, len(claims))
	}
	return nil
}
