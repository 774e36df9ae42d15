package serve

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap/zaptest"

	"github.com/wholescale/wholescale/api/wire/identity"
	"github.com/wholescale/wholescale/cloudprovider"
	"github.com/wholescale/wholescale/cloudprovider/remote"
)

// TestMain lets this test program be a machine.
func TestMain(m *testing.M) {
	if os.Getenv("SERVE_TEST_MACHINE") == "" {
		os.Exit(m.Run())
	}
	time.Sleep(10 * time.Minute)
}

func TestErrorsNameLineAndField(t *testing.T) {
	const good = "machineCommand: [m]\nstate: /s\npools:\n- id: a\n  max: 3\n"
	for _, c := range []struct{ name, text, want string }{
		{"good", good, ""},
		{"not YAML", "a: [", "line 1"},
		{"unknown field", good + "  colour: red\n", "line 6: field colour not found"},
		{"bad field", good + "- id: b\n  max: 0\n", "line 7: pools[1].max: 0 must be from 1"},
		{"absent field", good + "- id: b\n", "line 6: pools[1].max"},
		{"limits", good + "limits:\n  pricePerHour: -2\n", "line 7: limits.pricePerHour: -2"},
		{"NaN", good + "  pricePerHour: .nan\n", "line 6: pools[0].pricePerHour: NaN"},
		{"wrong type", good + "  pods: many\n", "line 6"},
		{"duration", good + "stopGrace: soon\n", "soon"},
		{"twice", good + "- id: a\n  max: 1\n", "line 6: pools[1].id"},
		{"empty", "", "EOF"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "provider.yaml")
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Load(path, "")
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("%v; want the file and %q", err, c.want)
			}
		})
	}
	if _, err := Load("/nowhere", ""); err == nil || !strings.Contains(err.Error(), "/nowhere") {
		t.Error(err)
	}
}

func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func get(t *testing.T, url string) string {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", url, r.Status, err)
	}
	return string(body)
}

func TestRun(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := identity.Issue(dir, identity.Controller, identity.Provider); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "provider.yaml")
	text := fmt.Sprintf("machineCommand: [/usr/bin/env, SERVE_TEST_MACHINE=yes, %s]\npools:\n- {id: a, max: 3, pricePerHour: 1}\nlimits: {pricePerHour: 2}\n", self)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := Load(path, filepath.Join(dir, "state"))
	if err != nil {
		t.Fatal(err)
	}
	config := Config{File: file, Listen: free(t), Admin: free(t), Keys: identity.In(dir, identity.Provider)}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, config, zaptest.NewLogger(t)) }()

	keys, err := identity.In(dir, identity.Controller).Client(identity.Provider)
	if err != nil {
		t.Fatal(err)
	}
	p, err := remote.Dial(remote.Config{Address: config.Listen, TLS: keys})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(20 * time.Second); ; <-tick.C {
		if _, err := p.Pools(t.Context()); err == nil {
			break
		} else if time.Now().After(limit) {
			t.Fatal(err)
		}
	}
	if _, err := p.SetTarget(t.Context(), cloudprovider.Change{Pool: "a", Target: 2, Token: "one", Epoch: 3}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.SetTarget(t.Context(), cloudprovider.Change{Pool: "a", Target: 3, Token: "two", Epoch: 3}); !errors.Is(err, cloudprovider.ErrOverLimit) {
		t.Fatalf("%v; want the provider's own limit", err)
	}
	all, err := p.List(t.Context())
	if err != nil || all[0].Known == nil || len(all[0].Known.Instances) != 2 {
		t.Fatalf("%+v, %v", all, err)
	}
	var ids []string
	for _, i := range all[0].Known.Instances {
		ids = append(ids, i.ProviderID)
	}
	if _, err := p.Delete(t.Context(), cloudprovider.Change{Pool: "a", Instances: ids, Token: "three", Epoch: 3}); err != nil {
		t.Fatal(err)
	}
	var results []string
	for lines := bufio.NewScanner(strings.NewReader(get(t, "http://"+config.Admin+"/orders"))); lines.Scan(); {
		var o Order
		if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
			t.Fatal(err)
		}
		results = append(results, fmt.Sprintf("%s %s %d %s", o.Kind, o.Token, o.Target, o.Result))
	}
	if got, want := strings.Join(results, ", "), "set one 2 ok, set two 3 over-limit, delete three 0 ok"; got != want {
		t.Errorf("orders: %s; want %s", got, want)
	}
	if text := get(t, "http://"+config.Admin+"/metrics"); !strings.Contains(text, `wholescale_provider_orders_total{kind="set",result="over-limit"} 1`) ||
		!strings.Contains(text, `wholescale_provider_pool_target{pool="a"} 0`) {
		t.Error(text)
	}
	get(t, "http://"+config.Admin+"/healthz")
	for limit := time.Now().Add(20 * time.Second); ; <-tick.C {
		all, err := p.List(t.Context())
		if err == nil && len(all[0].Known.Instances) == 0 {
			break
		}
		if time.Now().After(limit) {
			t.Fatalf("%+v, %v", all, err)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestRecordIsBounded(t *testing.T) {
	r := newRecord(nil, prometheus.NewRegistry())
	for i := range maxOrders + 10 {
		_, _ = r.note("set", cloudprovider.Change{Target: i, Token: strings.Repeat("x", 10000)}, func() (int, error) { return i, nil })
	}
	got := r.last()
	if len(got) != maxOrders || got[0].Target != 10 || got[len(got)-1].Target != maxOrders+9 || len(got[0].Token) > 512 {
		t.Errorf("%d orders, from %d to %d", len(got), got[0].Target, got[len(got)-1].Target)
	}
}
