package autoscaler

// Replicas is the first step of Plan alone: what benchmarks of pod policies measure.
func Replicas(s *State) []Scale {
	scales, _ := replicas(s, look(s))
	return scales
}

// About is the cluster that a glance is made from.
func About(b *Book, list []Workload) (Cluster, bool) { return b.about(list) }
