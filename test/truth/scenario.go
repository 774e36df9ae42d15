package truth

import (
	"time"

	"github.com/wholescale/wholescale/cloudprovider/local"
	"github.com/wholescale/wholescale/simulator/trace"
)

// Scenario is one workload on one kind of machine, and what is asked of it.
type Scenario struct {
	Name     string
	Requests []trace.Request
	// Workload is the Deployment, in the namespace default; Host is whom the requests are for.
	Workload, Host string
	// Slots are the requests that a pod takes at a time, Window is the stable window, StartDelay what the process sleeps
	// before it listens.
	Slots              int
	Window, StartDelay time.Duration
	// IdleAfter, Nodes and PricePerHour are of the NodePool; Boot is the machine's delay as cloudprovider/local has it.
	IdleAfter    time.Duration
	Nodes        int
	PricePerHour float64
	Boot         string
}

const (
	namespace = "default"
	pool      = "spot"
	// A replica, and the machines.
	podCPU, podMemory   = 1000, 256 << 20
	nodeCPU, nodeMemory = 4000, 8 << 30
	nodePods            = 30
	settle              = 3 * time.Minute // how long pods and nodes may take to be gone
)

// Pools are the machines of the scenario, for the local provider.
func (c *Scenario) Pools() []local.PoolConfig {
	return []local.PoolConfig{{ID: pool, CPU: "4", Memory: "8Gi", Pods: nodePods, Max: c.Nodes, PricePerHour: &c.PricePerHour, BootDelay: c.Boot}}
}
