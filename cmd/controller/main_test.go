package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wholescale/wholescale/api/v1alpha1"
)

func TestPriceCapsByTheClockAreRead(t *testing.T) {
	night := []v1alpha1.PriceCap{{Name: "night", PerHour: 2, Begins: "0 20 * * *", Lasts: metav1.Duration{Duration: 10 * time.Hour}, TimeZone: "Europe/Berlin"}}
	for _, c := range []struct {
		text string
		want []v1alpha1.PriceCap
		says string
	}{
		{text: ""},
		{text: `[{name: night, perHour: 2, begins: "0 20 * * *", lasts: 10h, timeZone: Europe/Berlin}]`, want: night},
		{text: `[{"name":"night","perHour":2,"begins":"0 20 * * *","lasts":"10h","timeZone":"Europe/Berlin"}]`, want: night},
		{text: `[{name: night, perhours: 2}]`, says: `unknown field "perhours"`},
		{text: `night`, says: "a list of {name, perHour, begins, lasts, timeZone}"},
	} {
		got, err := readCaps(c.text)
		if c.says != "" {
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v, not %s", c.text, err, c.says)
			}
			continue
		}
		if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", c.text, err, diff)
		}
	}
}
