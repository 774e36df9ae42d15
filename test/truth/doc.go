// Package truth holds the simulator to a real run: the same requests to the same workload on a real control plane with real
// processes, and through the model with the times that were measured there.
package truth
