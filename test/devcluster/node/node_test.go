package node

import (
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseDelay(t *testing.T) {
	for text, want := range map[string]bool{
		"": true, "2s": true, "uniform:1s..3s": true, "normal:2s,300ms": true, "lognormal:2s,0.5": true,
		"2": false, "-1s": false, "uniform:3s..1s": false, "uniform:3s": false, "weibull:1s,2": false, "lognormal:2s,1s": false, "constant:": false,
	} {
		if _, err := ParseDelay(text); (err == nil) != want {
			t.Errorf("ParseDelay(%q): %v, want ok %v", text, err, want)
		}
	}
}

func TestDelayDraws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SampledFrom([]string{"2s", "uniform:1s..3s", "normal:1s,5s", "lognormal:2s,9"}).Draw(t, "delay")
		seed := rapid.Uint64().Draw(t, "seed")
		d, err := ParseDelay(text)
		if err != nil {
			t.Fatal(err)
		}
		one, two := d.Draw(rand.New(rand.NewPCG(seed, 1))), d.Draw(rand.New(rand.NewPCG(seed, 1)))
		if one != two {
			t.Fatalf("the same seed gave %s and %s", one, two)
		}
		if one < 0 || one > 24*time.Hour {
			t.Fatalf("%s is outside of 0..24h", one)
		}
		if text == "uniform:1s..3s" && (one < time.Second || one > 3*time.Second) {
			t.Fatalf("%s is outside of 1s..3s", one)
		}
	})
}

func TestExpand(t *testing.T) {
	values := map[string]string{"A": "1", "B": "$(A)"}
	for text, want := range map[string]string{
		"$(A)": "1", "x$(A)y$(A)": "x1y1", "$(B)": "$(A)", "$(C)": "$(C)", "$$(A)": "$(A)", "$$$(A)": "$1",
		"$": "$", "$A": "$A", "$(A": "$(A", "a$$": "a$", "": "",
	} {
		if got := expand(text, values); got != want {
			t.Errorf("expand(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestAddressesComeBackLate(t *testing.T) {
	s := &subnet{a: 100, b: 7, last: firstPod - 1}
	first, _ := s.pod()
	if want := netip.MustParseAddr("127.100.7.2"); first != want {
		t.Fatalf("the first address is %s, want %s", first, want)
	}
	s.release(first)
	seen := map[netip.Addr]bool{}
	for range lastPod - firstPod {
		ip, ok := s.pod()
		if !ok || ip == first || seen[ip] {
			t.Fatalf("got %s (%v) before all others were used", ip, ok)
		}
		seen[ip] = true
	}
	if ip, ok := s.pod(); !ok || ip != first {
		t.Fatalf("the last free address is %s (%v), want %s", ip, ok, first)
	}
	if ip, ok := s.pod(); ok {
		t.Fatalf("a full subnet gave %s", ip)
	}
}

func TestSubnetsAreApart(t *testing.T) {
	one, first, err := allocate("same seed")
	if err != nil {
		t.Fatal(err)
	}
	defer one.close()
	defer first.Close()
	two, second, err := allocate("same seed")
	if err != nil {
		t.Fatal(err)
	}
	defer two.close()
	defer second.Close()
	if one.host() == two.host() {
		t.Fatalf("two machines have %s", one.host())
	}
}

func TestParseStat(t *testing.T) {
	line := "42 (a) b (c) S 1 42 42 0 -1 4194560 1 2 3 4 100 50 30 20 20 0 1 0 5000 1000000 7 18446744073709551615 1"
	group, used, ok := parseStat([]byte(line))
	if !ok || group != 42 || used.cpu != 2 || used.memory != 7*int64(os.Getpagesize()) {
		t.Fatalf("parseStat: %d %+v %v", group, used, ok)
	}
	if _, _, ok := parseStat([]byte("42 (x) S 1")); ok {
		t.Fatal("a cut line was taken")
	}
}

func TestSeekTail(t *testing.T) {
	for _, c := range []struct {
		content string
		lines   int
		want    string
	}{{"a\nb\nc\n", 1, "c\n"}, {"a\nb\nc\n", 2, "b\nc\n"}, {"a\nb", 1, "b"}, {"a\n", 9, "a\n"}, {"a\n", 0, ""}, {"", 3, ""}} {
		path := filepath.Join(t.TempDir(), "log")
		if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := seekTail(file, c.lines); err != nil {
			t.Fatal(err)
		}
		rest := make([]byte, 64)
		n, _ := file.Read(rest)
		file.Close()
		if got := string(rest[:n]); got != c.want {
			t.Errorf("last %d lines of %q: %q, want %q", c.lines, c.content, got, c.want)
		}
	}
}

func TestCrashPause(t *testing.T) {
	c := Config{CrashBackoff: 10 * time.Second}
	for n, want := range map[int]time.Duration{1: 0, 2: 10 * time.Second, 3: 20 * time.Second, 7: maxBackoff, 1000: maxBackoff} {
		if got := c.crashPause(n); got != want {
			t.Errorf("after failure %d: %s, want %s", n, got, want)
		}
	}
}
