package v1alpha1

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestNextPeriodOfAFloor(t *testing.T) {
	at := func(text string) time.Time {
		v, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, c := range []struct{ name, begins, zone, lasts, now, from string }{
		{"before", "0 8 * * *", "UTC", "4h", "2026-03-02T07:00:00Z", "2026-03-02T08:00:00Z"},
		{"at its first moment", "0 8 * * *", "UTC", "4h", "2026-03-02T08:00:00Z", "2026-03-02T08:00:00Z"},
		{"while it holds", "0 8 * * *", "UTC", "4h", "2026-03-02T11:59:59Z", "2026-03-02T08:00:00Z"},
		{"after it", "0 8 * * *", "UTC", "4h", "2026-03-02T12:00:00Z", "2026-03-03T08:00:00Z"},
		{"over midnight", "0 22 * * *", "UTC", "4h", "2026-03-02T01:00:00Z", "2026-03-01T22:00:00Z"},
		{"days of the week", "0 8 * * mon-fri", "UTC", "1h", "2026-03-07T08:30:00Z", "2026-03-09T08:00:00Z"},
		{"another zone", "0 8 * * *", "Europe/Berlin", "1h", "2026-03-02T06:00:00Z", "2026-03-02T07:00:00Z"},
		{"its summer", "0 8 * * *", "Europe/Berlin", "1h", "2026-07-02T05:00:00Z", "2026-07-02T06:00:00Z"},
		{"overlapping", "*/10 * * * *", "UTC", "1h", "2026-03-02T08:05:00Z", "2026-03-02T08:00:00Z"},
	} {
		lasts, err := time.ParseDuration(c.lasts)
		if err != nil {
			t.Fatal(err)
		}
		f := Floor{Begins: c.begins, TimeZone: c.zone, Lasts: metav1.Duration{Duration: lasts}}
		p, ok := f.Next(at(c.now))
		if !ok || !p.From.Equal(at(c.from)) || !p.Until.Equal(at(c.from).Add(lasts)) {
			t.Errorf("%s: %v %v, want from %s", c.name, p, ok, c.from)
		}
	}
}

func TestFloorsThatCannotBeRead(t *testing.T) {
	for _, f := range []Floor{{Begins: "61 * * * *", TimeZone: "UTC"}, {Begins: "0 8 * * *", TimeZone: "Mars/Olympus"}, {Begins: "@daily x", TimeZone: "UTC"}} {
		f.Lasts = metav1.Duration{Duration: time.Hour}
		if errs := f.validate(nil); len(errs) != 1 {
			t.Errorf("%+v: %v", f, errs)
		}
		if _, ok := f.Next(time.Now()); ok {
			t.Errorf("%+v has a next period", f)
		}
	}
}
