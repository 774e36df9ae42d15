// Package node is a machine made of processes: it registers a Node, keeps its lease, takes the pods bound to it and
// runs their containers' commands, each pod on a loopback address of its own. There is no isolation and no image: a
// container is the command it names. What a kubelet promises about order, probes, signals, grace periods, restarts and
// status holds here too.
package node

import (
	"fmt"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/kubernetes"
)

// maxPods is what a subnet holds, with some addresses to spare for pods that are ending.
const maxPods = 240

// Config describes one machine.
type Config struct {
	// Name of the Node. Needed.
	Name string
	// ProviderID of the Node; "" is devcluster://NAME.
	ProviderID string
	Labels     map[string]string
	Taints     []corev1.Taint
	// CPU and Memory are capacity and allocatable; zero is 4 and 8Gi. Nothing enforces them but the scheduler.
	CPU, Memory resource.Quantity
	// Pods is the most pods, 1 to 240; 0 is 110.
	Pods int
	// Further are other resources that it has, by name, as a device plugin adds them.
	Further map[string]int64

	// BootDelay passes before the Node registers, PodStartDelay before a pod's first process, PullDelay before the first
	// container of an image on this machine.
	BootDelay, PodStartDelay, PullDelay Delay
	// Seed of the delays.
	Seed uint64
	// FirstProbe is the pause between probes until the first success, when that is less than the probe's own period;
	// 0 is 100 ms, below 0 leaves it to the period, as a kubelet does.
	FirstProbe time.Duration
	// CrashBackoff is the pause before the second restart; it doubles, up to 5 minutes. 0 is 10 s, as a kubelet has it.
	CrashBackoff time.Duration
	// ShutdownGrace caps the grace period of pods when the machine is told to end; 0 is 30 s.
	ShutdownGrace time.Duration
	// KeepNode leaves the Node object behind when the machine is told to end, as if no cloud controller removed it.
	KeepNode bool

	// Dir holds logs and work folders of pods. Needed.
	Dir string
	// PKI is the folder of ca.crt and ca.key, to serve as a kubelet. Needed.
	PKI string
	// Env is added to the environment of every container.
	Env []string
	// Server is the URL of the API server, for KUBERNETES_SERVICE_HOST and _PORT.
	Server string
	// Client speaks for the machine. Needed.
	Client kubernetes.Interface
	// Log is needed.
	Log *zap.Logger
}

// Validate names the field that makes no sense, and fills in defaults.
func (c *Config) Validate() error {
	if wrong := validation.IsDNS1123Subdomain(c.Name); wrong != nil {
		return fmt.Errorf("node: Name %q: %s", c.Name, wrong[0])
	}
	if c.Pods < 0 || c.Pods > maxPods {
		return fmt.Errorf("node: Pods %d is not in 1..%d", c.Pods, maxPods)
	}
	if c.CPU.Sign() < 0 || c.Memory.Sign() < 0 {
		return fmt.Errorf("node: CPU %s or Memory %s is below 0", &c.CPU, &c.Memory)
	}
	if c.Dir == "" || c.PKI == "" || c.Client == nil || c.Log == nil {
		return fmt.Errorf("node: Dir, PKI, Client and Log are needed")
	}
	if c.ProviderID == "" {
		c.ProviderID = "devcluster://" + c.Name
	}
	if c.CPU.IsZero() {
		c.CPU = resource.MustParse("4")
	}
	if c.Memory.IsZero() {
		c.Memory = resource.MustParse("8Gi")
	}
	for field, fallback := range map[*time.Duration]time.Duration{
		&c.FirstProbe: 100 * time.Millisecond, &c.CrashBackoff: 10 * time.Second, &c.ShutdownGrace: 30 * time.Second,
	} {
		if *field == 0 {
			*field = fallback
		}
	}
	if c.Pods == 0 {
		c.Pods = 110
	}
	return nil
}
