package devcluster

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
)

// serviceRange is the cluster's range of service addresses. Nothing serves them: clients use pod addresses.
const serviceRange = "10.96.0.0/16"

// etcdSocket is relative to the data folder, in which every component runs: the path of a socket is short by law.
const etcdSocket = "unix://etcd.sock:0"

// controllers are those that make workloads run and clean up after them; storage and certificates have none here.
const controllers = "deployment-controller,replicaset-controller,statefulset-controller,daemonset-controller,job-controller," +
	"cronjob-controller,horizontal-pod-autoscaler-controller,disruption-controller,serviceaccount-controller," +
	"serviceaccount-token-controller,endpoints-controller,endpointslice-controller,garbage-collector-controller," +
	"namespace-controller,pod-garbage-collector-controller,node-lifecycle-controller,taint-eviction-controller," +
	"root-ca-certificate-publisher-controller,clusterrole-aggregation-controller,resourcequota-controller," +
	"replicationcontroller-controller,ttl-after-finished-controller,validatingadmissionpolicy-status-controller"

type ports struct{ apiServer, controllerManager, scheduler int }

func (c *Cluster) etcdSpec() componentSpec {
	args := []string{"--data-dir=etcd", "--listen-client-url=" + etcdSocket}
	if !c.config.Durable {
		args = append(args, "--unsafe-no-fsync")
	}
	return componentSpec{name: "etcd", args: args}
}

func (c *Cluster) apiServerSpec(p ports) componentSpec {
	args := []string{
		"--etcd-servers=" + etcdSocket,
		"--bind-address=127.0.0.1", "--advertise-address=127.0.0.1",
		"--secure-port=" + strconv.Itoa(p.apiServer),
		"--tls-cert-file=pki/apiserver.crt", "--tls-private-key-file=pki/apiserver.key",
		"--client-ca-file=pki/ca.crt",
		"--anonymous-auth=false",
		"--authorization-mode=RBAC",
		"--allow-privileged=true",
		"--service-cluster-ip-range=" + serviceRange,
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=pki/service-account.key",
		"--service-account-signing-key-file=pki/service-account.key",
		"--kubelet-certificate-authority=pki/ca.crt",
		"--kubelet-client-certificate=pki/kubelet-client.crt", "--kubelet-client-key=pki/kubelet-client.key",
		"--kubelet-preferred-address-types=InternalIP",
		// Services have no addresses that answer, so aggregated APIs and webhooks go to the pods themselves.
		"--enable-aggregator-routing=true",
		"--requestheader-client-ca-file=pki/front-proxy-ca.crt", "--requestheader-allowed-names=front-proxy-client",
		"--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=pki/front-proxy.crt", "--proxy-client-key-file=pki/front-proxy.key",
	}
	return componentSpec{name: "kube-apiserver", args: append(args, c.config.APIServerArgs...), health: c.server(p) + "/readyz"}
}

func (c *Cluster) controllerManagerSpec(p ports) componentSpec {
	kubeconfig := "--kubeconfig=controller-manager.kubeconfig"
	args := []string{
		kubeconfig, "--authentication-" + kubeconfig[2:], "--authorization-" + kubeconfig[2:],
		"--bind-address=127.0.0.1", "--secure-port=" + strconv.Itoa(p.controllerManager),
		"--cert-dir=controller-manager",
		"--leader-elect=false",
		"--controllers=" + controllers,
		"--use-service-account-credentials=true",
		"--service-account-private-key-file=pki/service-account.key", "--root-ca-file=pki/ca.crt",
		// Machines renew every 3 s: a lost one shows after 12 s instead of 50.
		"--node-monitor-period=1s", "--node-monitor-grace-period=12s", "--node-startup-grace-period=60s",
		"--kube-api-qps=300", "--kube-api-burst=600",
		"--concurrent-deployment-syncs=10", "--concurrent-replicaset-syncs=10",
	}
	args = append(args, c.config.ControllerManagerArgs...)
	return componentSpec{name: "kube-controller-manager", args: args, health: fmt.Sprintf("https://127.0.0.1:%d/healthz", p.controllerManager)}
}

func (c *Cluster) schedulerSpec(p ports) componentSpec {
	kubeconfig := "--kubeconfig=scheduler.kubeconfig"
	args := []string{
		kubeconfig, "--authentication-" + kubeconfig[2:], "--authorization-" + kubeconfig[2:],
		"--bind-address=127.0.0.1", "--secure-port=" + strconv.Itoa(p.scheduler),
		"--cert-dir=scheduler",
		"--leader-elect=false",
		"--kube-api-qps=300", "--kube-api-burst=600",
	}
	args = append(args, c.config.SchedulerArgs...)
	return componentSpec{name: "kube-scheduler", args: args, health: fmt.Sprintf("https://127.0.0.1:%d/readyz", p.scheduler)}
}

func (c *Cluster) server(p ports) string { return fmt.Sprintf("https://127.0.0.1:%d", p.apiServer) }

// startControlPlane starts the four, each as soon as what it needs answers.
func (c *Cluster) startControlPlane(ctx context.Context, binary string) error {
	env := withMarker(c.id)
	free, err := freePorts(3)
	if err != nil {
		return err
	}
	p := ports{apiServer: free[0], controllerManager: free[1], scheduler: free[2]}
	if err := c.writeKubeconfigs(c.server(p)); err != nil {
		return err
	}
	for _, spec := range []componentSpec{c.etcdSpec(), c.apiServerSpec(p)} {
		started, err := startComponent(binary, c.dir, env, spec)
		if err != nil {
			return err
		}
		c.components = append(c.components, started)
	}
	// The API server's own patience covers the time that etcd takes.
	if err := c.awaitReady(ctx, c.components); err != nil {
		return err
	}
	for _, spec := range []componentSpec{c.controllerManagerSpec(p), c.schedulerSpec(p)} {
		started, err := startComponent(binary, c.dir, env, spec)
		if err != nil {
			return err
		}
		c.components = append(c.components, started)
	}
	return nil
}

// awaitReady waits for each of the components; the first that ends fails all.
func (c *Cluster) awaitReady(ctx context.Context, components []*component) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	for _, component := range components {
		go func() {
			select {
			case <-component.done:
				cancel(component.ended())
			case <-ctx.Done():
			}
		}()
	}
	pki := filepath.Join(c.dir, "pki")
	for _, component := range components {
		client, err := healthClient(pki, component.name == "kube-apiserver")
		if err != nil {
			return err
		}
		if err := component.ready(ctx, client); err != nil {
			if cause := context.Cause(ctx); cause != nil && ctx.Err() != nil {
				return fmt.Errorf("%w (while: %w)", cause, err)
			}
			return err
		}
	}
	return nil
}
