package remote

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/wholescale/wholescale/api/wire"
	"github.com/wholescale/wholescale/cloudprovider"
)

const (
	// maxOrder bounds a request: a Delete of 10,000 instances with ids of 100 bytes is 1 MB.
	maxOrder = 2 << 20
	// maxStreams bounds the calls at once of one connection; a controller has a handful.
	maxStreams = 64
)

// NewServer is a gRPC server for the provider, over the mutual TLS of t (see api/wire/identity).
func NewServer(p cloudprovider.Provider, t *tls.Config) (*grpc.Server, error) {
	if t == nil {
		return nil, errors.New("no TLS configuration: a provider spends money and never listens without")
	}
	s := grpc.NewServer(
		grpc.Creds(credentials.NewTLS(t)),
		grpc.MaxConcurrentStreams(maxStreams), grpc.MaxRecvMsgSize(maxOrder), grpc.MaxHeaderListSize(16<<10),
		grpc.ConnectionTimeout(10*time.Second),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
	)
	wire.RegisterProviderServer(s, &server{provider: p})
	return s, nil
}

type server struct {
	wire.UnimplementedProviderServer
	provider cloudprovider.Provider
}

func (s *server) Pools(ctx context.Context, _ *wire.PoolsRequest) (*wire.PoolsResponse, error) {
	pools, err := s.provider.Pools(ctx)
	if err != nil {
		return nil, toStatus(err)
	}
	r := &wire.PoolsResponse{}
	for _, p := range pools {
		r.Pools = append(r.Pools, toWirePool(p))
	}
	return r, nil
}

func (s *server) SetTarget(ctx context.Context, r *wire.SetTargetRequest) (*wire.SetTargetResponse, error) {
	standing, err := s.provider.SetTarget(ctx, cloudprovider.Change{
		Pool: r.GetPool(), Target: int(r.GetTarget()), Token: r.GetToken(), Epoch: r.GetEpoch(),
	})
	if err != nil {
		return nil, toStatus(err)
	}
	return &wire.SetTargetResponse{Target: uint32(standing)}, nil
}

func (s *server) Delete(ctx context.Context, r *wire.DeleteRequest) (*wire.DeleteResponse, error) {
	standing, err := s.provider.Delete(ctx, cloudprovider.Change{
		Pool: r.GetPool(), Target: int(r.GetTarget()), Instances: r.GetInstances(), Token: r.GetToken(), Epoch: r.GetEpoch(),
	})
	if err != nil {
		return nil, toStatus(err)
	}
	return &wire.DeleteResponse{Target: uint32(standing)}, nil
}

func (s *server) List(ctx context.Context, _ *wire.ListRequest) (*wire.ListResponse, error) {
	states, err := s.provider.List(ctx)
	if err != nil {
		return nil, toStatus(err)
	}
	r := &wire.ListResponse{}
	for _, st := range states {
		r.Pools = append(r.Pools, toWireState(st))
	}
	return r, nil
}

func toWirePool(p cloudprovider.Pool) *wire.Pool {
	w := &wire.Pool{
		Id: p.ID, Shape: p.Shape, Labels: p.Labels, Max: uint32(p.Max),
		Allocatable: &wire.Resources{CpuMillis: p.Allocatable.CPUMillis, MemoryBytes: p.Allocatable.MemoryBytes, Pods: p.Allocatable.Pods, Further: p.Allocatable.Further},
	}
	for _, t := range p.Taints {
		w.Taints = append(w.Taints, &wire.Taint{Key: t.Key, Value: t.Value, Effect: t.Effect})
	}
	if p.PriceKnown {
		w.PricePerHour = &p.PricePerHour
	}
	return w
}

func toWireState(s cloudprovider.PoolState) *wire.PoolState {
	if s.Known == nil {
		return unknown(s.ID, s.Unknown)
	}
	// The wire has no negative numbers, so one from a cloud that lies would become four thousand million.
	if s.Known.Target < 0 {
		return unknown(s.ID, fmt.Sprintf("the cloud says target %d", s.Known.Target))
	}
	k := &wire.Known{Target: uint32(s.Known.Target)}
	for _, i := range s.Known.Instances {
		at := &wire.Instance{
			ProviderId: i.ProviderID, Phase: wire.Instance_Phase(i.Phase), Created: timestamppb.New(i.Created), Message: i.Message,
		}
		if i.ExpectedReady > 0 {
			at.ExpectedReady = durationpb.New(i.ExpectedReady)
		}
		k.Instances = append(k.Instances, at)
	}
	if !s.Known.StockOutSince.IsZero() {
		k.StockOut = &wire.StockOut{Since: timestamppb.New(s.Known.StockOutSince), Reason: s.Known.StockOutReason}
	}
	return &wire.PoolState{Id: s.ID, State: &wire.PoolState_Known{Known: k}}
}

func unknown(id, reason string) *wire.PoolState {
	return &wire.PoolState{Id: id, State: &wire.PoolState_Unknown{Unknown: &wire.Unknown{Reason: reason}}}
}
