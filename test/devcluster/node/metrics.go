package node

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"time"
)

// clockTicks per second in /proc/*/stat: 100 on every Linux that Go runs on.
const clockTicks = 100

// usage is what a process group has used: seconds of CPU since its start, and bytes of memory now.
type usage struct {
	cpu    float64
	memory int64
}

func (u usage) add(v usage) usage { return usage{u.cpu + v.cpu, u.memory + v.memory} }

// usageByGroup reads all processes once. What ended children used counts with their parent.
func usageByGroup() (map[int]usage, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	groups := map[int]usage{}
	for _, entry := range entries {
		if _, err := strconv.Atoi(entry.Name()); err != nil {
			continue
		}
		stat, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "stat"))
		if err != nil {
			continue // it ended meanwhile
		}
		if group, used, ok := parseStat(stat); ok {
			groups[group] = groups[group].add(used)
		}
	}
	return groups, nil
}

func parseStat(stat []byte) (group int, used usage, ok bool) {
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 22 {
		return 0, usage{}, false
	}
	number := func(i int) int64 {
		n, err := strconv.ParseInt(string(fields[i]), 10, 64)
		if err != nil {
			return 0
		}
		return n
	}
	// proc(5) counts from 1 and the first two fields are cut off: pgrp is 5, utime to cstime 14 to 17, rss 24.
	used.cpu = float64(number(11)+number(12)+number(13)+number(14)) / clockTicks
	used.memory = number(21) * int64(os.Getpagesize())
	return int(number(2)), used, true
}

// sample is one container's line.
type sample struct {
	namespace, pod, container string
	started                   time.Time
	usage
}

// samples lists the running containers by namespace, pod and name.
func (a *agent) samples(groups map[int]usage) []sample {
	var list []sample
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range a.pods {
		p.mu.Lock()
		for _, c := range append(append([]*container{}, p.inits...), p.mains...) {
			if c.process != nil {
				list = append(list, sample{p.latest.Namespace, p.latest.Name, c.spec.Name, c.process.started, groups[c.process.pid()]})
			}
		}
		p.mu.Unlock()
	}
	sort.Slice(list, func(i, j int) bool {
		x, y := list[i], list[j]
		if x.namespace != y.namespace {
			return x.namespace < y.namespace
		}
		if x.pod != y.pod {
			return x.pod < y.pod
		}
		return x.container < y.container
	})
	return list
}

// serveMetrics writes the kubelet's resource metrics, from which metrics-server makes metrics.k8s.io.
func (a *agent) serveMetrics(w http.ResponseWriter, _ *http.Request) {
	now := time.Now().UnixMilli()
	groups, err := usageByGroup()
	failed := 0
	if err != nil {
		failed = 1
	}
	list := a.samples(groups)
	all := usage{}
	for _, s := range list {
		all = all.add(s.usage)
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	family := func(name, kind, help string) {
		fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
	}
	family("container_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed by the container in core-seconds")
	for _, s := range list {
		fmt.Fprintf(w, "container_cpu_usage_seconds_total{%s} %g %d\n", s.labels(), s.cpu, now)
	}
	family("container_memory_working_set_bytes", "gauge", "Current working set of the container in bytes")
	for _, s := range list {
		fmt.Fprintf(w, "container_memory_working_set_bytes{%s} %d %d\n", s.labels(), s.memory, now)
	}
	family("container_start_time_seconds", "gauge", "Start time of the container since unix epoch in seconds")
	for _, s := range list {
		fmt.Fprintf(w, "container_start_time_seconds{%s} %g\n", s.labels(), float64(s.started.UnixMilli())/1000)
	}
	family("node_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed by the node in core-seconds")
	fmt.Fprintf(w, "node_cpu_usage_seconds_total %g %d\n", all.cpu, now)
	family("node_memory_working_set_bytes", "gauge", "Current working set of the node in bytes")
	fmt.Fprintf(w, "node_memory_working_set_bytes %d %d\n", all.memory, now)
	writePods(w, list, now)
	family("scrape_error", "gauge", "1 if there was an error while getting container metrics, 0 otherwise")
	fmt.Fprintf(w, "scrape_error %d\n", failed)
}

func (s sample) labels() string {
	return fmt.Sprintf("container=%q,namespace=%q,pod=%q", s.container, s.namespace, s.pod)
}

// writePods sums the containers of each pod; the list has them side by side.
func writePods(w io.Writer, list []sample, now int64) {
	var cpu, memory bytes.Buffer
	for i := 0; i < len(list); {
		first, sum := list[i], usage{}
		for ; i < len(list) && list[i].namespace == first.namespace && list[i].pod == first.pod; i++ {
			sum = sum.add(list[i].usage)
		}
		fmt.Fprintf(&cpu, "pod_cpu_usage_seconds_total{namespace=%q,pod=%q} %g %d\n", first.namespace, first.pod, sum.cpu, now)
		fmt.Fprintf(&memory, "pod_memory_working_set_bytes{namespace=%q,pod=%q} %d %d\n", first.namespace, first.pod, sum.memory, now)
	}
	fmt.Fprintf(w, "# HELP pod_cpu_usage_seconds_total Cumulative cpu time consumed by the pod in core-seconds\n# TYPE pod_cpu_usage_seconds_total counter\n%s", &cpu)
	fmt.Fprintf(w, "# HELP pod_memory_working_set_bytes Current working set of the pod in bytes\n# TYPE pod_memory_working_set_bytes gauge\n%s", &memory)
}
