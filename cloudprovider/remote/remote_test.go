package remote

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/wholescale/wholescale/api/wire"
	"github.com/wholescale/wholescale/api/wire/identity"
	"github.com/wholescale/wholescale/cloudprovider"
	"github.com/wholescale/wholescale/cloudprovider/contract"
	"github.com/wholescale/wholescale/cloudprovider/limit"
	"github.com/wholescale/wholescale/cloudprovider/local"
)

// TestMain lets this test program be a machine of the local provider.
func TestMain(m *testing.M) {
	if os.Getenv("REMOTE_TEST_MACHINE") == "" {
		os.Exit(m.Run())
	}
	time.Sleep(10 * time.Minute)
}

// serve listens with s until the test ends or stop is called, and returns a client of it.
func serve(t *testing.T, keys string, s *grpc.Server) (p *Provider, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	config, err := identity.In(keys, identity.Controller).Client(identity.Provider)
	if err != nil {
		t.Fatal(err)
	}
	if p, err = Dial(Config{Address: l.Addr().String(), TLS: config}); err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		p.Close()
		s.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return p, stop
}

func keys(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := identity.Issue(dir, identity.Controller, identity.Provider, identity.Gateway); err != nil {
		t.Fatal(err)
	}
	return dir
}

func newServer(t *testing.T, keys string, p cloudprovider.Provider) *grpc.Server {
	t.Helper()
	config, err := identity.In(keys, identity.Provider).Server(identity.Controller)
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewServer(p, config)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestContractOverTheWire(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := keys(t)
	contract.Test(t, func(t *testing.T) (cloudprovider.Provider, contract.Fixture) {
		price := 0.1
		config := local.Config{
			MachineCommand: []string{"/usr/bin/env", "REMOTE_TEST_MACHINE=yes", self}, State: t.TempDir(),
			Pools: []local.PoolConfig{{ID: "small", Max: 5, PricePerHour: &price}},
		}
		open := func() (*Provider, *local.Provider, func()) {
			machines, err := local.Open(config)
			if err != nil {
				t.Fatal(err)
			}
			bounded, err := limit.New(machines, limit.Config{PricePerHour: 10, CreationsPerHour: 100})
			if err != nil {
				t.Fatal(err)
			}
			p, stop := serve(t, dir, newServer(t, dir, bounded))
			return p, machines, stop
		}
		p, machines, stop := open()
		t.Cleanup(func() {
			stop()
			endAll(t, machines)
		})
		return p, contract.Fixture{Pool: "small", Restart: func(t *testing.T) cloudprovider.Provider {
			stop()
			if err := machines.Close(); err != nil {
				t.Fatal(err)
			}
			p, machines, stop = open()
			return p
		}}
	})
}

func endAll(t *testing.T, p *local.Provider) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for round := 0; ; round++ {
		all, err := p.List(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, i := range all[0].Known.Instances {
			ids = append(ids, i.ProviderID)
		}
		if len(ids) == 0 {
			break
		}
		if _, err := p.Delete(context.Background(), cloudprovider.Change{
			Pool: all[0].ID, Instances: ids, Token: fmt.Sprintf("sweep-%d", round), Epoch: math.MaxUint64,
		}); err != nil {
			t.Fatal(err)
		}
		<-tick.C
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

func TestOnlyTheControllerMayCall(t *testing.T) {
	dir := keys(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, dir, failing{})
	go s.Serve(l)
	defer s.Stop()
	config, err := identity.In(dir, identity.Gateway).Client(identity.Provider)
	if err != nil {
		t.Fatal(err)
	}
	p, err := Dial(Config{Address: l.Addr().String(), TLS: config})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := p.Pools(t.Context()); !errors.Is(err, cloudprovider.ErrUnavailable) {
		t.Errorf("a gateway's call: %v", err)
	}
}

// failing answers each call with its error.
type failing struct{ err error }

func (f failing) Pools(context.Context) ([]cloudprovider.Pool, error)          { return nil, f.err }
func (f failing) List(context.Context) ([]cloudprovider.PoolState, error)      { return nil, f.err }
func (f failing) SetTarget(context.Context, cloudprovider.Change) (int, error) { return 0, f.err }
func (f failing) Delete(context.Context, cloudprovider.Change) (standing int, err error) {
	return 0, f.err
}

func TestErrorsKeepTheirKind(t *testing.T) {
	all := []error{
		cloudprovider.ErrOldEpoch, cloudprovider.ErrNoPool, cloudprovider.ErrNoStock,
		cloudprovider.ErrOverLimit, cloudprovider.ErrInvalid, cloudprovider.ErrUnavailable,
	}
	dir := keys(t)
	for _, want := range append(slices.Clone(all), errors.New("something else")) {
		p, stop := serve(t, dir, newServer(t, dir, failing{fmt.Errorf("pool x: %w", want)}))
		_, err := p.SetTarget(t.Context(), cloudprovider.Change{Pool: "x", Token: "t"})
		for _, kind := range all {
			if got := errors.Is(err, kind); got != errors.Is(want, kind) {
				t.Errorf("%v came as %v", want, err)
			}
		}
		if err == nil || !strings.Contains(err.Error(), want.Error()) {
			t.Errorf("%v came as %v", want, err)
		}
		stop()
	}
}

// rogue answers List as it likes.
type rogue struct {
	wire.UnimplementedProviderServer
	list func(context.Context) (*wire.ListResponse, error)
}

func (r rogue) List(ctx context.Context, _ *wire.ListRequest) (*wire.ListResponse, error) {
	return r.list(ctx)
}

func listFrom(t *testing.T, answer func(context.Context) (*wire.ListResponse, error)) error {
	t.Helper()
	dir := keys(t)
	config, err := identity.In(dir, identity.Provider).Server(identity.Controller)
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(grpc.Creds(credentials.NewTLS(config)))
	wire.RegisterProviderServer(s, rogue{list: answer})
	p, stop := serve(t, dir, s)
	defer stop()
	p.timeout = 2 * time.Second
	_, err = p.List(t.Context())
	return err
}

func TestWedgedProviderEndsAtTheDeadline(t *testing.T) {
	err := listFrom(t, func(ctx context.Context) (*wire.ListResponse, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, cloudprovider.ErrUnavailable) {
		t.Error(err)
	}
}

func TestHugeAnswerIsRefusedAndIsNotOutOfStock(t *testing.T) {
	err := listFrom(t, func(context.Context) (*wire.ListResponse, error) {
		return &wire.ListResponse{Pools: []*wire.PoolState{{Id: strings.Repeat("x", 9<<20)}}}, nil
	})
	if err == nil || errors.Is(err, cloudprovider.ErrNoStock) || !strings.Contains(err.Error(), "larger than max") {
		t.Error(err)
	}
}

func TestLiesAreUnknown(t *testing.T) {
	machine := func(id string) *wire.Instance {
		return &wire.Instance{ProviderId: id, Phase: wire.Instance_PHASE_RUNNING, Created: timestamppb.New(time.Unix(1, 0))}
	}
	state := func(id string, k *wire.Known) *wire.PoolState {
		return &wire.PoolState{Id: id, State: &wire.PoolState_Known{Known: k}}
	}
	phaseless := machine("x")
	phaseless.Phase = 77
	for _, c := range []struct {
		name string
		from []*wire.PoolState
		want string // the pools that are unknown; "error" when nothing is known
	}{
		{"the truth", []*wire.PoolState{state("b", &wire.Known{Target: 1, Instances: []*wire.Instance{machine("1")}}), state("a", &wire.Known{})}, ""},
		{"absent", []*wire.PoolState{{Id: "a"}, state("b", &wire.Known{})}, "a"},
		{"twice in one pool", []*wire.PoolState{state("a", &wire.Known{Instances: []*wire.Instance{machine("1"), machine("1")}}), state("b", &wire.Known{})}, "a"},
		{"in two pools", []*wire.PoolState{state("a", &wire.Known{Instances: []*wire.Instance{machine("1")}}), state("b", &wire.Known{Instances: []*wire.Instance{machine("1")}})}, "a b"},
		{"-1 as an unsigned number", []*wire.PoolState{state("a", &wire.Known{Target: math.MaxUint32})}, "a"},
		{"no id", []*wire.PoolState{state("a", &wire.Known{Instances: []*wire.Instance{machine("")}})}, "a"},
		{"a phase that does not exist", []*wire.PoolState{state("a", &wire.Known{Instances: []*wire.Instance{phaseless}})}, "a"},
		{"a million machines", []*wire.PoolState{state("a", &wire.Known{Instances: make([]*wire.Instance, 1e6)})}, "a"},
		{"one pool twice", []*wire.PoolState{state("a", &wire.Known{}), state("a", &wire.Known{})}, "error"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := fromWireStates(c.from)
			if err != nil {
				if c.want != "error" {
					t.Error(err)
				}
				return
			}
			var unknown []string
			for _, s := range got {
				if (s.Known == nil) != (s.Unknown != "") {
					t.Errorf("%+v is neither known nor unknown", s)
				}
				if s.Known == nil {
					unknown = append(unknown, s.ID)
				}
			}
			if strings.Join(unknown, " ") != c.want {
				t.Errorf("unknown: %v; want %s", unknown, c.want)
			}
		})
	}
	room := &wire.Resources{CpuMillis: 1, MemoryBytes: 1, Pods: 1}
	for name, p := range map[string]*wire.Pool{
		"negative price":      {Id: "a", Allocatable: room, PricePerHour: new(-1.0)},
		"price NaN":           {Id: "a", Allocatable: room, PricePerHour: new(math.NaN())},
		"no room":             {Id: "a"},
		"no id":               {Allocatable: room},
		"fewer than no cards": {Id: "a", Allocatable: &wire.Resources{CpuMillis: 1, MemoryBytes: 1, Pods: 1, Further: map[string]int64{"example.com/gpu": -1}}},
		"its CPU twice":       {Id: "a", Allocatable: &wire.Resources{CpuMillis: 1, MemoryBytes: 1, Pods: 1, Further: map[string]int64{"cpu": 1}}},
		"a million":           {Id: "a", Allocatable: room, Max: 1e6},
	} {
		if _, err := fromWirePools([]*wire.Pool{p}); err == nil {
			t.Errorf("%s was believed", name)
		}
	}
}

func TestProviderThatIsNotThere(t *testing.T) {
	dir := keys(t)
	config, err := identity.In(dir, identity.Controller).Client(identity.Provider)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	p, err := Dial(Config{Address: l.Addr().String(), TLS: config})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := p.List(t.Context()); !errors.Is(err, cloudprovider.ErrUnavailable) || !strings.Contains(err.Error(), syscall.ECONNREFUSED.Error()) {
		t.Error(err)
	}
}
