package simulator

import "time"

// decider is who decides about replicas and machines. There are two: Wholescale's one loop, which decides about both in one
// plan, and the two loops of its rivals, of which the second sees only what the first has left undone.
type decider interface {
	// tick is called each second in which there is anything at all.
	tick()
	// heard is called at once when something happens.
	heard(happening)
}

// what is a kind of happening.
type what int

const (
	queueFormed   what = iota + 1 // a request has to wait: Workload
	podStarted                    // a pod is ready: Workload, Took since it was bound
	podRefused                    // the scheduler has no node for a pod: Pod
	nodeJoined                    // a machine is a ready node: Pool, Took since the order
	podWaits                      // a pod was created, and bound if there was room: Workload
	worldChanged                  // a pod or a node went, or an order was refused: Workload, or nil
	cameBack                      // a controller runs again after a time without one
	reportDue                     // a second has gone by at the gateway
	workloadAdded                 // the first request for it has come, or the run begins: Workload
)

// happening is what a decider hears of.
type happening struct {
	what     what
	workload *workload
	pod      *pod
	pool     *pool
	took     time.Duration
}

// scale writes the replicas of a workload. observed is when what caused it happened.
func (s *simulation) scale(w *workload, to int, observed time.Duration) {
	from := w.replicas
	if from == to {
		return
	}
	s.result.scaledBy(from, to)
	w.replicas = to
	s.after(s.way(&s.Delays.Write, "write"), func() {
		s.written(func() {
			s.result.scaled(s.now-observed, to > from)
			s.setReplicas(w, w.replicas)
		})
	})
}
