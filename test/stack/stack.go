package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"github.com/wholescale/wholescale/api/wire/identity"
	"github.com/wholescale/wholescale/cloudprovider/local"
)

// Config is where and with what to bring Wholescale up.
type Config struct {
	// Kubeconfig is of an administrator, for installing; none of the four processes gets it.
	Kubeconfig string
	// Bin holds the programs provider, controller and gateway.
	Bin string
	// Dir is for certificates, logs and the provider's state. It must exist.
	Dir string
	// MachineCommand boots a machine of the cluster; Pools are the kinds that can be bought.
	MachineCommand []string
	Pools          []local.PoolConfig
	// Env is added to each process's environment.
	Env []string
	// DrainTimeout is the gateway's; zero is its default.
	DrainTimeout time.Duration
	// LeaseDuration is the controller's; default 2 s, so that a killed one is replaced soon.
	LeaseDuration time.Duration
	// Collector takes the traces of gateway and controller, as OTLP over HTTP; empty is none.
	Collector string
	// Progress is told in a sentence what is being done; nil tells nobody.
	Progress func(string)
}

// Stack is Wholescale, up.
type Stack struct {
	Provider, Controller, Gateway *Process
	// Standby is a second controller; nil unless it was started.
	Standby *Process
	// URL is where the gateway takes requests.
	URL string
	// Live is where the controller's live page is.
	Live string
	// Keys is the folder with each role's certificate.
	Keys string
	// ControllerKubeconfig holds the controller's own token.
	ControllerKubeconfig string

	REST    *rest.Config // the administrator's
	Client  kubernetes.Interface
	Dynamic dynamic.Interface

	config      Config
	standbyLink string
	cluster     *Cluster // that it owns; nil when it was given one
	folder      string   // that it made
}

// OnDevcluster starts a cluster of its own with Wholescale on it; Down ends both. bin holds all programs.
func OnDevcluster(ctx context.Context, bin string, pools []local.PoolConfig, progress func(string)) (*Stack, error) {
	folder, err := os.MkdirTemp("", "wholescale-")
	if err != nil {
		return nil, fmt.Errorf("making a folder for logs and keys: %w", err)
	}
	progress("starting a control plane of its own: etcd, kube-apiserver, controller manager, scheduler")
	cluster, err := StartCluster(ctx, bin, filepath.Join(folder, "cluster"), progress)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	s, err := Up(ctx, Config{
		Kubeconfig: cluster.Kubeconfig, Bin: bin, Dir: folder, MachineCommand: cluster.MachineCommand, Pools: pools,
		Env: cluster.Env(), Progress: progress,
	})
	if err != nil {
		cluster.Stop()
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	s.cluster, s.folder = cluster, folder
	return s, nil
}

// WorkloadCommand runs the demo workload in a pod of the devcluster.
func (s *Stack) WorkloadCommand() []string {
	return []string{s.config.MachineCommand[0], "workload", "--listen", "$(POD_IP):8080"}
}

// Up installs and starts everything, and returns when the gateway takes requests. On an error what was started is
// stopped again.
func Up(ctx context.Context, c Config) (s *Stack, err error) {
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
	if c.LeaseDuration == 0 {
		c.LeaseDuration = 2 * time.Second
	}
	s = &Stack{config: c, Keys: filepath.Join(c.Dir, "keys"), ControllerKubeconfig: filepath.Join(c.Dir, "controller.kubeconfig")}
	defer func() {
		if err != nil {
			s.Down()
			s = nil
		}
	}()
	if s.REST, err = clientcmd.BuildConfigFromFlags("", c.Kubeconfig); err != nil {
		return s, fmt.Errorf("reading the kubeconfig %s: %w", c.Kubeconfig, err)
	}
	s.REST.QPS, s.REST.Burst = 200, 400
	if s.Client, err = kubernetes.NewForConfig(s.REST); err != nil {
		return s, err
	}
	if s.Dynamic, err = dynamic.NewForConfig(s.REST); err != nil {
		return s, err
	}
	c.Progress("installing CRDs, RBAC and the admission policy")
	if err = Install(ctx, s.REST); err != nil {
		return s, err
	}
	if err = controllerKubeconfig(ctx, s.REST, s.ControllerKubeconfig); err != nil {
		return s, err
	}
	if err = identity.Issue(s.Keys, identity.Gateway, identity.Controller, identity.Provider); err != nil {
		return s, err
	}
	c.Progress("starting provider, controller and gateway, each with an identity of its own")
	for _, start := range []func(context.Context) error{s.startProvider, s.startController, s.startGateway} {
		if err = start(ctx); err != nil {
			return s, err
		}
	}
	return s, nil
}

// providerConfig is what the provider reads; JSON is YAML too, but the field names are the YAML tags'.
func (s *Stack) providerConfig(path string) error {
	pools := make([]map[string]any, 0, len(s.config.Pools))
	for _, p := range s.config.Pools {
		m := map[string]any{"id": p.ID, "max": p.Max}
		for key, text := range map[string]string{"shape": p.Shape, "cpu": p.CPU, "memory": p.Memory, "bootDelay": p.BootDelay} {
			if text != "" {
				m[key] = text
			}
		}
		if p.Pods > 0 {
			m["pods"] = p.Pods
		}
		if p.PricePerHour != nil {
			m["pricePerHour"] = *p.PricePerHour
		}
		if len(p.Labels) > 0 {
			m["labels"] = p.Labels
		}
		if len(p.Taints) > 0 {
			m["taints"] = p.Taints
		}
		if len(p.Further) > 0 {
			m["further"] = p.Further
		}
		if p.StockOut > 0 {
			m["stockOut"] = p.StockOut
		}
		pools = append(pools, m)
	}
	data, err := yaml.Marshal(map[string]any{"machineCommand": s.config.MachineCommand, "pools": pools})
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}

func (s *Stack) startProvider(ctx context.Context) error {
	config := filepath.Join(s.config.Dir, "provider.yaml")
	if err := s.providerConfig(config); err != nil {
		return fmt.Errorf("writing the provider's configuration: %w", err)
	}
	listen, err := freeAddress()
	if err != nil {
		return err
	}
	s.Provider, err = s.process("provider", "provider", "--config", config, "--state", filepath.Join(s.config.Dir, "machines"), "--listen", listen)
	if err != nil {
		return err
	}
	return s.Provider.answers(ctx, "/healthz")
}

func (s *Stack) startController(ctx context.Context) error {
	link, err := freeAddress()
	if err != nil {
		return err
	}
	if s.standbyLink, err = freeAddress(); err != nil {
		return err
	}
	live, err := freeAddress()
	if err != nil {
		return err
	}
	s.Live = "http://" + live
	s.Controller, err = s.process("controller", "controller", "--kubeconfig", s.ControllerKubeconfig, "--provider", argument(s.Provider, "--listen"),
		"--link", link, "--live-address", live, "--otlp-endpoint", s.config.Collector, "--lease-duration", s.config.LeaseDuration.String())
	if err != nil {
		return err
	}
	return s.Controller.Ready(ctx)
}

// StartStandby starts a second controller, which stands by until the first leads no more.
func (s *Stack) StartStandby(ctx context.Context) (err error) {
	s.Standby, err = s.process("controller", "standby", "--kubeconfig", s.ControllerKubeconfig, "--provider", argument(s.Provider, "--listen"),
		"--link", s.standbyLink, "--lease-duration", s.config.LeaseDuration.String())
	if err != nil {
		return err
	}
	return s.Standby.answers(ctx, "/healthz")
}

func (s *Stack) startGateway(ctx context.Context) error {
	gateway, url, err := s.gateway()
	if err != nil {
		return err
	}
	s.Gateway, s.URL = gateway, url
	return s.Gateway.Ready(ctx)
}

func (s *Stack) gateway() (*Process, string, error) {
	listen, err := freeAddress()
	if err != nil {
		return nil, "", err
	}
	args := []string{"--listen", listen, "--link", argument(s.Controller, "--link") + "," + s.standbyLink, "--allow-loopback-pods", "--otlp-endpoint", s.config.Collector}
	if s.config.DrainTimeout > 0 {
		args = append(args, "--drain-timeout", s.config.DrainTimeout.String())
	}
	p, err := s.process("gateway", "gateway", args...)
	return p, "http://" + listen, err
}

// process starts one of ours, under a name for its log, with its certificate and an admin address of its own.
func (s *Stack) process(name, as string, args ...string) (*Process, error) {
	program, err := executable(s.config.Bin, name)
	if err != nil {
		return nil, err
	}
	admin, err := freeAddress()
	if err != nil {
		return nil, err
	}
	keys := identity.In(s.Keys, identity.Role(name))
	p := &Process{
		Name: as, Log: filepath.Join(s.config.Dir, as+".log"), Admin: admin, env: s.config.Env,
		args: append([]string{program, "--admin", admin, "--ca", keys.CA, "--cert", keys.Cert, "--key", keys.Key}, args...),
	}
	return p, p.start()
}

// argument is the value that a process was given for a flag.
func argument(p *Process, flag string) string {
	for i, a := range p.args {
		if a == flag {
			return p.args[i+1]
		}
	}
	return ""
}

// Down stops the processes: the gateway first, so that nobody's request is lost. Machines are the provider's cloud's and
// stay until the cluster ends.
func (s *Stack) Down() {
	for _, p := range []*Process{s.Gateway, s.Standby, s.Controller, s.Provider} {
		if p != nil {
			p.Stop(10 * time.Second)
		}
	}
	if s.cluster != nil {
		s.cluster.Stop()
		_ = os.RemoveAll(s.folder) // logs and keys of what is no more
	}
}

// Price makes a pointer to a price, for literals.
func Price(perHour float64) *float64 { return &perHour }

// PoolObject is a NodePool for a pool of the provider.
func PoolObject(name string, most int, idleAfter time.Duration) map[string]any {
	return map[string]any{
		"apiVersion": "autoscaling.wholescale.dev/v1alpha1", "kind": "NodePool", "metadata": map[string]any{"name": name},
		"spec": map[string]any{
			"provider": map[string]any{"pool": name}, "nodes": map[string]any{"min": 0, "max": most},
			"idleAfter": strconv.Itoa(int(idleAfter.Seconds())) + "s",
		},
	}
}
