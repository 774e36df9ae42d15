package serve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/wholescale/wholescale/api/wire/identity"
	"github.com/wholescale/wholescale/cloudprovider/limit"
	"github.com/wholescale/wholescale/cloudprovider/local"
	"github.com/wholescale/wholescale/cloudprovider/remote"
)

// finish bounds how long calls in progress may take after ctx has ended.
const finish = 10 * time.Second

// Run serves until ctx ends, then lets calls in progress finish and leaves the machines running.
func Run(ctx context.Context, c Config, log *zap.Logger) (err error) {
	secure, err := c.Keys.Server(identity.Controller)
	if err != nil {
		return fmt.Errorf("the provider's keys: %w", err)
	}
	machines, err := local.Open(c.File.Config)
	if err != nil {
		return fmt.Errorf("open the machines: %w", err)
	}
	defer func() { err = errors.Join(err, machines.Close()) }()
	bounded, err := limit.New(machines, c.File.Limits)
	if err != nil {
		return err
	}
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), newPools(bounded))
	orders := newRecord(bounded, metrics)
	server, err := remote.NewServer(orders, secure)
	if err != nil {
		return err
	}
	if c.Listen == "" {
		c.Listen = "127.0.0.1:7443"
	}
	group, ctx := errgroup.WithContext(ctx)
	if err := serveGRPC(ctx, group, server, c.Listen, log); err != nil {
		return err
	}
	if c.Admin != "" {
		mux := http.NewServeMux()
		mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
		mux.Handle("GET /orders", orders)
		mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
		if err := serveAdmin(ctx, group, mux, c.Admin); err != nil {
			server.Stop()
			return errors.Join(err, group.Wait())
		}
	}
	err = group.Wait()
	log.Info("ended; the machines run on")
	return err
}

func serveGRPC(ctx context.Context, group *errgroup.Group, s *grpc.Server, address string, log *zap.Logger) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("listen for the controller: %w", err)
	}
	log.Info("listening for the controller", zap.Stringer("address", listener.Addr()))
	group.Go(func() error { return s.Serve(listener) })
	group.Go(func() error {
		<-ctx.Done()
		hurry := time.AfterFunc(finish, s.Stop)
		defer hurry.Stop()
		s.GracefulStop()
		return nil
	})
	return nil
}

func serveAdmin(ctx context.Context, group *errgroup.Group, handler http.Handler, address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("listen for metrics: %w", err)
	}
	s := &http.Server{
		Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}
	group.Go(func() error {
		if err := s.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), finish)
		defer cancel()
		return s.Shutdown(end)
	})
	return nil
}
