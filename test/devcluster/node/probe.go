package node

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// probeClient follows no keep-alive: each probe shows that the server takes new connections.
var probeClient = &http.Client{
	Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
	CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	},
}

// watchProbe runs one probe until ctx ends and reports each change of its verdict: true after successThreshold
// successes in a row, false after failureThreshold failures in a row, counted once per period.
func (c *container) watchProbe(ctx context.Context, probe *corev1.Probe, fast bool, report func(ok bool, why error)) {
	if !sleep(ctx, time.Duration(probe.InitialDelaySeconds)*time.Second) {
		return
	}
	period := time.Duration(max(probe.PeriodSeconds, 1)) * time.Second
	var successes, failures int32
	counted := time.Now() // the last failure that counted; a quick probe gets a whole period first
	for {
		pause := period
		err := c.probe(ctx, probe)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			successes, failures, fast = successes+1, 0, false
			if successes == max(probe.SuccessThreshold, 1) {
				report(true, nil)
			}
		} else {
			successes = 0
			if now := time.Now(); !fast || now.Sub(counted) >= period {
				failures, counted = failures+1, now
				if failures == max(probe.FailureThreshold, 1) {
					report(false, err)
				}
			}
			if quick := c.pod.agent.FirstProbe; fast && quick > 0 {
				pause = min(period, quick)
			}
		}
		if !sleep(ctx, pause) {
			return
		}
	}
}

// probe asks once.
func (c *container) probe(ctx context.Context, probe *corev1.Probe) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(max(probe.TimeoutSeconds, 1))*time.Second)
	defer cancel()
	switch {
	case probe.HTTPGet != nil:
		return c.httpGet(ctx, probe.HTTPGet)
	case probe.TCPSocket != nil:
		address, err := c.address(probe.TCPSocket.Host, probe.TCPSocket.Port)
		if err != nil {
			return err
		}
		connection, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		return connection.Close()
	case probe.Exec != nil:
		return c.exec(ctx, probe.Exec.Command)
	case probe.GRPC != nil:
		return c.grpcHealth(ctx, probe.GRPC)
	}
	return fmt.Errorf("the probe names no way to ask")
}

func (c *container) httpGet(ctx context.Context, get *corev1.HTTPGetAction) error {
	address, err := c.address(get.Host, get.Port)
	if err != nil {
		return err
	}
	path, err := url.Parse(get.Path)
	if err != nil {
		return fmt.Errorf("path %q: %w", get.Path, err)
	}
	scheme := strings.ToLower(string(get.Scheme))
	if scheme == "" {
		scheme = "http"
	}
	target := url.URL{Scheme: scheme, Host: address, Path: "/" + strings.TrimPrefix(path.Path, "/"), RawQuery: path.RawQuery}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return err
	}
	request.Header.Set("User-Agent", "kube-probe/1.37")
	for _, header := range get.HTTPHeaders {
		request.Header.Set(header.Name, header.Value)
		if strings.EqualFold(header.Name, "Host") {
			request.Host = header.Value
		}
	}
	response, err := probeClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, _ = io.CopyN(io.Discard, response.Body, 10<<10) // the status alone decides
	if response.StatusCode < 200 || response.StatusCode >= 400 {
		return fmt.Errorf("HTTP probe failed with statuscode: %d", response.StatusCode)
	}
	return nil
}

func (c *container) grpcHealth(ctx context.Context, action *corev1.GRPCAction) error {
	address, err := c.address("", intstr.FromInt32(action.Port))
	if err != nil {
		return err
	}
	connection, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	request := &healthpb.HealthCheckRequest{}
	if action.Service != nil {
		request.Service = *action.Service
	}
	answer, err := healthpb.NewHealthClient(connection).Check(ctx, request)
	if err != nil {
		return err
	}
	if answer.Status != healthpb.HealthCheckResponse_SERVING {
		return fmt.Errorf("the service is %s", answer.Status)
	}
	return nil
}

func (c *container) address(host string, port intstr.IntOrString) (string, error) {
	if host == "" {
		host = c.pod.ip.String()
	}
	number := port.IntValue()
	if port.Type == intstr.String {
		for _, named := range c.spec.Ports {
			if named.Name == port.StrVal {
				number = int(named.ContainerPort)
			}
		}
	}
	if number == 0 {
		return "", fmt.Errorf("the container has no port %q", port.String())
	}
	return net.JoinHostPort(host, strconv.Itoa(number)), nil
}
