// Package remote is a provider in another process, over gRPC: the client that the controller holds, and the server
// that stands before a real one. The client believes nothing: messages are bounded, each call has a deadline, and a
// pool about which the other side talks nonsense is unknown.
package remote

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"github.com/wholescale/wholescale/api/wire"
	"github.com/wholescale/wholescale/cloudprovider"
)

// Config is how to reach a provider.
type Config struct {
	// Address is "host:port". Required.
	Address string
	// TLS is from identity.Files.Client(identity.Provider). Required.
	TLS *tls.Config
	// Timeout bounds each call, beside the context's own deadline; 0 is 5s.
	Timeout time.Duration
	// MaxAnswer bounds an answer in bytes; 0 is 8 MiB, which is some 50,000 instances.
	MaxAnswer int
}

// Provider is a client. It is safe for concurrent use.
type Provider struct {
	conn    *grpc.ClientConn
	client  wire.ProviderClient
	timeout time.Duration
}

var _ cloudprovider.Provider = (*Provider)(nil)

// Dial makes a client; it connects with the first call, and again whenever the connection is lost. Close it in the end.
func Dial(c Config) (*Provider, error) {
	switch {
	case c.Address == "":
		return nil, errors.New("no Address: it is the provider's host:port")
	case c.TLS == nil:
		return nil, errors.New("no TLS: the provider talks to nobody without")
	case c.Timeout < 0 || c.MaxAnswer < 0:
		return nil, fmt.Errorf("timeout %s and MaxAnswer %d must not be negative", c.Timeout, c.MaxAnswer)
	}
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Second
	}
	if c.MaxAnswer == 0 {
		c.MaxAnswer = 8 << 20
	}
	conn, err := grpc.NewClient(c.Address,
		grpc.WithTransportCredentials(credentials.NewTLS(c.TLS)),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(c.MaxAnswer), grpc.MaxCallSendMsgSize(maxOrder)),
		// gRPC's own back-off goes to two minutes; a provider that is back should be used within seconds.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 3 * time.Second},
			MinConnectTimeout: c.Timeout,
		}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 5 * time.Second, PermitWithoutStream: true}),
		grpc.WithDisableServiceConfig(),
	)
	if err != nil {
		return nil, fmt.Errorf("provider at %s: %w", c.Address, err)
	}
	return &Provider{conn, wire.NewProviderClient(conn), c.Timeout}, nil
}

// Close ends the connection.
func (p *Provider) Close() error { return p.conn.Close() }

// Pools tells what can be bought.
func (p *Provider) Pools(ctx context.Context) ([]cloudprovider.Pool, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	r, err := p.client.Pools(ctx, &wire.PoolsRequest{})
	if err != nil {
		return nil, fromStatus("ask the provider for its pools", err)
	}
	return fromWirePools(r.GetPools())
}

// SetTarget passes the order on.
func (p *Provider) SetTarget(ctx context.Context, c cloudprovider.Change) (int, error) {
	target, err := wireTarget(c)
	if err != nil {
		return 0, err
	}
	if len(c.Instances) > 0 {
		return 0, fmt.Errorf("%w: SetTarget names instances; only Delete ends any", cloudprovider.ErrInvalid)
	}
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	r, err := p.client.SetTarget(ctx, &wire.SetTargetRequest{Pool: c.Pool, Target: target, Token: c.Token, Epoch: c.Epoch})
	if err != nil {
		return 0, fromStatus(fmt.Sprintf("set target %d of pool %s", c.Target, c.Pool), err)
	}
	return int(r.GetTarget()), nil
}

// Delete passes the order on.
func (p *Provider) Delete(ctx context.Context, c cloudprovider.Change) (int, error) {
	target, err := wireTarget(c)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	r, err := p.client.Delete(ctx, &wire.DeleteRequest{
		Pool: c.Pool, Instances: c.Instances, Target: target, Token: c.Token, Epoch: c.Epoch,
	})
	if err != nil {
		return 0, fromStatus(fmt.Sprintf("delete %d instances of pool %s", len(c.Instances), c.Pool), err)
	}
	return int(r.GetTarget()), nil
}

// List tells what is there.
func (p *Provider) List(ctx context.Context) ([]cloudprovider.PoolState, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	r, err := p.client.List(ctx, &wire.ListRequest{})
	if err != nil {
		return nil, fromStatus("ask the provider what is there", err)
	}
	return fromWireStates(r.GetPools())
}

func wireTarget(c cloudprovider.Change) (uint32, error) {
	if c.Target < 0 || c.Target > math.MaxInt32 {
		return 0, fmt.Errorf("%w: target %d", cloudprovider.ErrInvalid, c.Target)
	}
	return uint32(c.Target), nil
}
