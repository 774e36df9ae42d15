package controller

import (
	"cmp"
	"errors"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/wholescale/wholescale/api/wire"
	"github.com/wholescale/wholescale/autoscaler"
)

// mostGateways bounds the streams; each costs a goroutine or two and a copy of what is published.
const mostGateways = 256

// link serves the gateways: their reports go to the loop, and what is published goes to each of them, the latest of each
// kind only, so that a slow gateway costs no memory.
type link struct {
	wire.UnimplementedLinkServer
	log     *zap.Logger
	traces  *traces
	reports chan<- autoscaler.Observation
	closed  <-chan struct{}
	waits   waits

	mu        sync.Mutex
	streams   []*stream // sorted by gateway
	routes    *wire.Routes
	holds     map[autoscaler.WorkloadID]*wire.Hold
	endpoints map[autoscaler.WorkloadID]*endpoints
}

// endpoints is the pods of one workload that may be sent requests.
type endpoints struct {
	port, limit int32
	pods        map[string]*podRecord
}

// stream is one gateway, with the kinds of message that it has not been sent yet.
type stream struct {
	gateway string
	dirty   map[string]bool
	wake    chan struct{}
}

func newLink(log *zap.Logger, reports chan<- autoscaler.Observation, closed <-chan struct{}) *link {
	return &link{
		log: log, reports: reports, closed: closed, routes: &wire.Routes{},
		holds: map[autoscaler.WorkloadID]*wire.Hold{}, endpoints: map[autoscaler.WorkloadID]*endpoints{},
	}
}

// The keys of dirty.
const routesKey = "routes"

func holdKey(id autoscaler.WorkloadID) string      { return "hold " + string(id) }
func endpointsKey(id autoscaler.WorkloadID) string { return "pods " + string(id) }

// Connect serves one gateway until it leaves or the controller ends.
func (l *link) Connect(server wire.Link_ConnectServer) error {
	first, err := server.Recv()
	if err != nil {
		return err
	}
	hello := first.GetHello()
	if hello.GetGateway() == "" {
		return status.Error(codes.InvalidArgument, "the first message must be a Hello with the gateway's name")
	}
	s := &stream{gateway: hello.GetGateway(), dirty: map[string]bool{routesKey: true}, wake: make(chan struct{}, 1)}
	if err := l.join(s); err != nil {
		return err
	}
	defer l.leave(s)
	l.log.Info("gateway connected", zap.String("gateway", s.gateway), zap.String("version", hello.GetVersion()))
	received := make(chan error, 1)
	go func() { received <- l.receive(server, s.gateway) }() // ends with the stream, which ends when Connect returns
	for {
		select {
		case err := <-received:
			return err
		case <-l.closed:
			return status.Error(codes.Unavailable, "the controller is ending or leads no more")
		case <-s.wake:
			for _, m := range l.take(s) {
				if err := server.Send(m); err != nil {
					return err
				}
			}
		}
	}
}

func (l *link) receive(server wire.Link_ConnectServer, gateway string) error {
	for {
		m, err := server.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		o := autoscaler.Observation{At: time.Now(), Gateway: gateway}
		switch {
		case m.GetGoodbye() != nil:
			o.Goodbye = true
		case m.GetReport() != nil:
			l.traces.reported(m.GetReport())
			l.waits.add(o.At, m.GetReport())
			o.Interval, o.Workloads = m.GetReport().GetInterval().AsDuration(), loads(m.GetReport())
		default:
			return status.Error(codes.InvalidArgument, "a Report or Goodbye was expected")
		}
		select {
		case l.reports <- o:
		case <-l.closed:
			return status.Error(codes.Unavailable, "the controller is ending or leads no more")
		}
		if o.Goodbye {
			return nil
		}
	}
}

// mostRequests is the most that one report can tell of, and the most seconds that they took in all.
const mostRequests = 1e9

// loads translates a report; figures that cannot be are left out rather than believed.
func loads(r *wire.Report) []autoscaler.Load {
	list := make([]autoscaler.Load, 0, len(r.GetWorkloads()))
	for _, w := range r.GetWorkloads() {
		if c := w.GetConcurrency(); !(c >= 0 && c < 1e9) {
			continue
		}
		l := autoscaler.Load{
			ID: autoscaler.WorkloadID(w.GetWorkload()), Concurrency: w.GetConcurrency(), Queued: int(w.GetQueued()),
			Arrivals: int(min(w.GetArrivals(), mostRequests)),
		}
		if seconds, n := w.GetServiceTimeSum(), w.GetServiceTimeCount(); n <= mostRequests && seconds >= 0 && seconds <= mostRequests {
			l.Ended, l.Service = int(n), time.Duration(seconds*float64(time.Second))
		}
		namespace, _, _ := cutWorkload(l.ID)
		for _, p := range w.GetPods() {
			l.Pods = append(l.Pods, autoscaler.PodLoad{ID: autoscaler.PodID(namespace + "/" + p.GetPod()), InFlight: int(p.GetInFlight())})
		}
		list = append(list, l)
	}
	slices.SortFunc(list, func(a, b autoscaler.Load) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

func (l *link) join(s *stream) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.streams) >= mostGateways {
		return status.Errorf(codes.ResourceExhausted, "%d gateways are connected already", mostGateways)
	}
	for id := range l.endpoints {
		s.dirty[endpointsKey(id)] = true
	}
	for id := range l.holds {
		s.dirty[holdKey(id)] = true
	}
	l.streams = append(l.streams, s)
	slices.SortFunc(l.streams, func(a, b *stream) int { return cmp.Compare(a.gateway, b.gateway) })
	l.reshare()
	s.signal()
	return nil
}

func (l *link) leave(s *stream) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.streams = slices.DeleteFunc(l.streams, func(o *stream) bool { return o == s })
	l.reshare()
	l.log.Info("gateway left", zap.String("gateway", s.gateway))
}

// reshare tells all gateways their pods anew, as slots are shared among them.
func (l *link) reshare() {
	for id, e := range l.endpoints {
		if e.limit > 0 {
			l.mark(endpointsKey(id))
		}
	}
}

// mark makes each gateway be sent what key names. The lock is held.
func (l *link) mark(key string) {
	for _, s := range l.streams {
		s.dirty[key] = true
		s.signal()
	}
}

func (s *stream) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// take returns the messages that a gateway has not been sent: routes first, so that it knows what the rest is about.
func (l *link) take(s *stream) []*wire.ConnectResponse {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []*wire.ConnectResponse
	if s.dirty[routesKey] {
		list = append(list, &wire.ConnectResponse{Message: &wire.ConnectResponse_Routes{Routes: l.routes}})
	}
	for _, key := range slices.Sorted(maps.Keys(s.dirty)) {
		kind, id, _ := strings.Cut(key, " ")
		switch {
		case kind == "pods" && l.endpoints[autoscaler.WorkloadID(id)] != nil:
			list = append(list, &wire.ConnectResponse{Message: &wire.ConnectResponse_Endpoints{Endpoints: l.share(autoscaler.WorkloadID(id), s)}})
		case kind == "hold" && l.holds[autoscaler.WorkloadID(id)] != nil:
			list = append(list, &wire.ConnectResponse{Message: &wire.ConnectResponse_Hold{Hold: l.holds[autoscaler.WorkloadID(id)]}})
		}
	}
	clear(s.dirty)
	return list
}

// share is a workload's pods with the slots that this gateway may use: a pod's limit is divided among the gateways, what
// is left over goes round by pod, and a pod of which a gateway has no share is not named to it.
func (l *link) share(id autoscaler.WorkloadID, s *stream) *wire.Endpoints {
	m := &wire.Endpoints{Workload: string(id)}
	e := l.endpoints[id]
	if e == nil {
		return m
	}
	self, n := int32(slices.Index(l.streams, s)), int32(len(l.streams))
	for i, name := range slices.Sorted(maps.Keys(e.pods)) {
		p := e.pods[name]
		slots := e.limit / n
		if e.limit > 0 && (self+int32(i))%n < e.limit%n {
			slots++
		}
		if e.limit > 0 && slots == 0 {
			continue
		}
		m.Pods = append(m.Pods, &wire.Endpoint{Pod: name, Address: p.ip + ":" + strconv.Itoa(int(e.port)), Slots: uint32(slots), Ready: p.ready})
	}
	return m
}

// publishRoutes tells the gateways which workloads there are, when that has changed. pods lists a workload's pods, for
// one that is new or whose port or limit changed.
func (l *link) publishRoutes(list []adopted, pods func(autoscaler.WorkloadID) []*podRecord) {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := &wire.Routes{Version: l.routes.GetVersion()}
	ids := make(map[autoscaler.WorkloadID]bool, len(list))
	for _, a := range list {
		if a.port == 0 {
			continue
		}
		ids[a.id] = true
		next.Routes = append(next.Routes, routeOf(&a))
		e := l.endpoints[a.id]
		if e != nil && e.port == a.port && e.limit == int32(a.policy.Slots) {
			continue
		}
		e = &endpoints{port: a.port, limit: int32(a.policy.Slots), pods: map[string]*podRecord{}}
		for _, p := range pods(a.id) {
			if p.reachable() {
				e.pods[p.name] = p
			}
		}
		l.endpoints[a.id] = e
		l.mark(endpointsKey(a.id))
	}
	l.waits.route(ids)
	for id := range l.endpoints {
		if !ids[id] {
			delete(l.endpoints, id)
			delete(l.holds, id)
		}
	}
	if proto.Equal(next, l.routes) {
		return
	}
	next.Version++
	l.routes = next
	l.mark(routesKey)
	for id := range l.endpoints {
		l.mark(endpointsKey(id))
	}
}

func routeOf(a *adopted) *wire.Route {
	r := &wire.Route{Workload: string(a.id), Hosts: a.hosts, PathPrefixes: a.spec.Paths, ProbePath: a.spec.Probe.Path, H2C: a.spec.H2C}
	if h := duration(a.spec.Timeouts.Hold); h > 0 {
		r.HoldTimeout = durationpb.New(h)
	}
	if d := duration(a.spec.Timeouts.WaitingPage); d > 0 {
		r.WaitingPage = durationpb.New(d)
	}
	if d := duration(a.spec.Timeouts.Response); d > 0 {
		r.ResponseTimeout = durationpb.New(d)
	}
	return r
}

// reachable says that a pod may be sent requests once the gateway's own probe passes.
func (p *podRecord) reachable() bool { return p.ip != "" && p.Phase != autoscaler.Leaving }

// podChanged tells the gateways at once of a pod's address, readiness or leaving; gone is a pod that is no more.
func (l *link) podChanged(id autoscaler.WorkloadID, p *podRecord, gone bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.endpoints[id]
	if e == nil {
		return
	}
	_, known := e.pods[p.name]
	switch {
	case !gone && p.reachable():
		e.pods[p.name] = p
	case known:
		delete(e.pods, p.name)
	default:
		return
	}
	l.mark(endpointsKey(id))
}

// publishHolds tells the gateways what held requests may hope for, where that has changed.
func (l *link) publishHolds(holds []autoscaler.Hold) {
	l.mu.Lock()
	about := slices.Collect(maps.Keys(l.holds))
	l.mu.Unlock()
	l.publishSomeHolds(holds, about)
}

// publishSomeHolds does so for some workloads: those that are not among the holds have none.
func (l *link) publishSomeHolds(holds []autoscaler.Hold, about []autoscaler.WorkloadID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := make(map[autoscaler.WorkloadID]*wire.Hold, len(holds))
	for _, h := range holds {
		next[h.Workload] = holdOf(h)
	}
	for _, id := range about {
		if next[id] == nil && l.holds[id] != nil {
			next[id] = &wire.Hold{Workload: string(id)}
		}
	}
	for id, h := range next {
		if proto.Equal(l.holds[id], h) {
			continue
		}
		l.holds[id] = h
		l.mark(holdKey(id))
	}
}

func holdOf(h autoscaler.Hold) *wire.Hold {
	m := &wire.Hold{Workload: string(h.Workload), Refuse: h.Refuse, Reason: h.Why.Sentence()}
	for _, a := range h.Arrivals {
		m.Arrivals = append(m.Arrivals, &wire.Arrival{At: timestamppb.New(a.At), Slots: uint32(a.Slots)})
	}
	return m
}

// gateways is how many are connected.
func (l *link) gateways() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.streams)
}
