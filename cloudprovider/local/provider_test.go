package local

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wholescale/wholescale/cloudprovider"
	"github.com/wholescale/wholescale/cloudprovider/contract"
)

// TestMain lets this test program be the machine too: it waits to be told to end, and not for ever.
func TestMain(m *testing.M) {
	switch os.Getenv("LOCAL_TEST_MACHINE") {
	case "":
		os.Exit(m.Run())
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
	}
	time.Sleep(10 * time.Minute)
}

func config(t *testing.T) Config {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Config{
		MachineCommand: []string{"/usr/bin/env", "LOCAL_TEST_MACHINE=yes", self}, State: t.TempDir(), StopGrace: Duration(5 * time.Second),
		Pools: []PoolConfig{{ID: "small", Max: 5}, {ID: "big", Max: 3, Taints: []string{"a:NoSchedule"}, BootDelay: "uniform:1s..3s"}},
	}
}

func open(t *testing.T, c Config) *Provider {
	t.Helper()
	p, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// sweep ends all machines when the test is over.
func sweep(t *testing.T, c Config) {
	t.Cleanup(func() {
		p, err := Open(c)
		if err != nil {
			t.Error(err)
			return
		}
		for _, l := range p.pools {
			if err := l.acquire(context.Background()); err != nil {
				t.Error(err)
			}
			for _, i := range l.state.Instances {
				_ = i.Process.killSession()
			}
			l.release()
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestContract(t *testing.T) {
	contract.Test(t, func(t *testing.T) (cloudprovider.Provider, contract.Fixture) {
		c := config(t)
		standby := c.Pools[0]
		standby.ID, standby.Standby = "standby", 1
		c.Pools = append(c.Pools, standby)
		sweep(t, c)
		p := open(t, c)
		t.Cleanup(func() { p.Close() })
		return p, contract.Fixture{Pool: "small", Standby: "standby", Restart: func(t *testing.T) cloudprovider.Provider {
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
			p = open(t, c)
			return p
		}}
	})
}

func set(t *testing.T, p *Provider, pool string, target int, token string) error {
	t.Helper()
	_, err := p.SetTarget(t.Context(), cloudprovider.Change{Pool: pool, Target: target, Token: token})
	return err
}

func known(t *testing.T, p *Provider, pool string) *cloudprovider.Known {
	t.Helper()
	all, err := p.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		if s.ID == pool {
			return s.Known
		}
	}
	t.Fatalf("no pool %s", pool)
	return nil
}

// buy sets the target of small and waits for its machines to run.
func buy(t *testing.T, p *Provider, target int, token string) {
	t.Helper()
	if err := set(t, p, "small", target, token); err != nil {
		t.Fatal(err)
	}
	await(t, "running machines", func() bool { return running(t, p) == target })
}

func running(t *testing.T, p *Provider) int {
	t.Helper()
	n := 0
	for _, i := range known(t, p, "small").Instances {
		if i.Phase == cloudprovider.Running {
			n++
		}
	}
	return n
}

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(20 * time.Second); !done(); <-tick.C {
		if time.Now().After(limit) {
			t.Fatalf("%s did not happen", what)
		}
	}
}

func TestMachineThatDiesIsFailedAndNotReplacedUntilDeleted(t *testing.T) {
	c := config(t)
	sweep(t, c)
	p := open(t, c)
	defer p.Close()
	buy(t, p, 1, "a")
	if err := p.pool("small").state.Instances[0].Process.signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	await(t, "Failed", func() bool { return known(t, p, "small").Instances[0].Phase == cloudprovider.Failed })
	if err := set(t, p, "small", 1, "b"); err != nil {
		t.Fatal(err)
	}
	k := known(t, p, "small")
	if len(k.Instances) != 1 || !strings.Contains(k.Instances[0].Message, "ended by itself") {
		t.Fatalf("%+v", k)
	}
	_, err := p.Delete(t.Context(), cloudprovider.Change{Pool: "small", Target: 1, Instances: []string{k.Instances[0].ProviderID}, Token: "c"})
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the replacement", func() bool {
		k := known(t, p, "small")
		return len(k.Instances) == 1 && k.Instances[0].Phase == cloudprovider.Running
	})
}

func TestStubbornMachineIsKilledAfterTheGraceAcrossRestarts(t *testing.T) {
	c := config(t)
	c.MachineCommand[1] = "LOCAL_TEST_MACHINE=stubborn"
	c.StopGrace = Duration(time.Hour)
	sweep(t, c)
	p := open(t, c)
	buy(t, p, 1, "a")
	machine := p.pool("small").state.Instances[0]
	if _, err := p.Delete(t.Context(), cloudprovider.Change{Pool: "small", Instances: []string{machine.ID}, Token: "b"}); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	c.StopGrace = Duration(time.Millisecond)
	p = open(t, c)
	defer p.Close()
	await(t, "the end", func() bool { return len(known(t, p, "small").Instances) == 0 })
	if machine.Process.alive() {
		t.Error("the machine runs on")
	}
}

func TestCrashBetweenDecisionAndStart(t *testing.T) {
	c := config(t)
	sweep(t, c)
	p := open(t, c)
	buy(t, p, 2, "a")
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	// As if it died after the start of the first and before the start of the second, with neither pid written down.
	l := p.pool("small")
	await(t, "the exec", func() bool { _, ok := find(l.state.Instances[0].ID); return ok })
	was := l.state.Instances[0].Process
	l.state.Instances[0].Process = process{}
	if err := l.state.Instances[1].Process.signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	await(t, "the kill", func() bool { return !l.state.Instances[1].Process.alive() })
	l.state.Instances[1].Process = process{}
	if err := l.state.write(l.path); err != nil {
		t.Fatal(err)
	}
	p = open(t, c)
	defer p.Close()
	if now := p.pool("small").state.Instances[0].Process; now != was {
		t.Errorf("the running machine was not found: %+v, want %+v", now, was)
	}
	await(t, "the start of the second", func() bool { return running(t, p) == 2 })
}

// TestAnswerBeforeTheStart: an order is answered once it is written down, and its machines are Creating until they run.
func TestAnswerBeforeTheStart(t *testing.T) {
	c := config(t)
	sweep(t, c)
	p := open(t, c)
	defer p.Close()
	l := p.pool("small")
	if err := l.acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	answer, err := l.carryOut(order{Token: "a", Kind: "set", Target: 2}, 1) // no machine starts as long as it is our turn
	if err != nil || answer != 2 {
		t.Fatal(answer, err)
	}
	for _, i := range l.known().Instances {
		if i.Phase != cloudprovider.Creating {
			t.Errorf("%+v", i)
		}
	}
	l.release()
	await(t, "running machines", func() bool { return running(t, p) == 2 })
}

func TestReusedPIDIsNotTakenForTheMachine(t *testing.T) {
	me, _, err := look(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if !me.alive() {
		t.Fatal("this process is not alive")
	}
	me.Start += "0"
	if me.alive() {
		t.Error("another process with the same pid is taken for the machine")
	}
	if err := me.signal(syscall.SIGKILL); err != nil {
		t.Error(err)
	}
}

func TestStockOut(t *testing.T) {
	c := config(t)
	c.Pools[0].StockOut = 1
	sweep(t, c)
	p := open(t, c)
	defer p.Close()
	if err := set(t, p, "small", 3, "a"); !errors.Is(err, cloudprovider.ErrNoStock) {
		t.Fatalf("%v; want out of stock", err)
	}
	k := known(t, p, "small")
	if k.Target != 1 || len(k.Instances) != 1 || k.StockOutSince.IsZero() || k.StockOutReason == "" {
		t.Fatalf("%+v", k)
	}
	if err := set(t, p, "small", 1, "b"); err != nil {
		t.Fatal(err)
	}
	if k := known(t, p, "small"); !k.StockOutSince.IsZero() {
		t.Errorf("still out of stock after an order that fits: %+v", k)
	}
}

func TestTwoProvidersCannotShareAState(t *testing.T) {
	c := config(t)
	p := open(t, c)
	defer p.Close()
	if _, err := Open(c); err == nil || !strings.Contains(err.Error(), c.State) {
		t.Errorf("%v; want the folder named", err)
	}
}

func TestOrderWaitsNoLongerThanItsDeadline(t *testing.T) {
	c := config(t)
	p := open(t, c)
	defer p.Close()
	l := p.pool("small")
	if err := l.acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer l.release()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := p.SetTarget(ctx, cloudprovider.Change{Pool: "small", Target: 1, Token: "a"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestTokensAreBounded(t *testing.T) {
	var s state
	for i := range 3 * maxTokens {
		s.remember(order{Token: strconv.Itoa(i)}, i)
	}
	if len(s.Orders) != maxTokens || s.Orders[0].Token != strconv.Itoa(2*maxTokens) {
		t.Errorf("%d orders from %s", len(s.Orders), s.Orders[0].Token)
	}
}

func TestConfigErrorsNameTheField(t *testing.T) {
	good := config(t)
	for path, spoil := range map[string]func(*Config){
		"machineCommand":        func(c *Config) { c.MachineCommand = nil },
		"state":                 func(c *Config) { c.State = "" },
		"stopGrace":             func(c *Config) { c.StopGrace = -1 },
		"pools":                 func(c *Config) { c.Pools = nil },
		"pools[1].id":           func(c *Config) { c.Pools[1].ID = "small" },
		"pools[0].id":           func(c *Config) { c.Pools[0].ID = "../x" },
		"pools[0].max":          func(c *Config) { c.Pools[0].Max = 0 },
		"pools[0].cpu":          func(c *Config) { c.Pools[0].CPU = "-1" },
		"pools[0].memory":       func(c *Config) { c.Pools[0].Memory = "much" },
		"pools[0].pricePerHour": func(c *Config) { v := -1.0; c.Pools[0].PricePerHour = &v },
		"pools[0].bootDelay":    func(c *Config) { c.Pools[0].BootDelay = "soon" },
		"pools[0].taints[0]":    func(c *Config) { c.Pools[0].Taints = []string{"a=b:Never"} },
		"pools[0].labels":       func(c *Config) { c.Pools[0].Labels = map[string]string{"a b": "c"} },
		"pools[0].further":      func(c *Config) { c.Pools[0].Further = map[string]int64{"cpu": 1} },
		"pools[0].standby":      func(c *Config) { c.Pools[0].Standby = -1 },
		"pools[0].resumeDelay":  func(c *Config) { c.Pools[0].ResumeDelay = "soon" },
		"pools[0].stockOut":     func(c *Config) { c.Pools[0].StockOut = -1 },
	} {
		c := good
		c.Pools = append([]PoolConfig(nil), good.Pools...)
		spoil(&c)
		var field *FieldError
		if err := c.Validate(); !errors.As(err, &field) || field.Path != path {
			t.Errorf("%s: %v", path, err)
		}
	}
}
