package local

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wholescale/wholescale/cloudprovider"
)

// pool is one kind of machine. Whoever holds its turn owns the state.
type pool struct {
	provider *Provider
	config   PoolConfig
	path     string
	turn     chan struct{}
	state    state
}

func (l *pool) acquire(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case l.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the orders before this one of pool %s: %w", l.config.ID, ctx.Err())
	}
}

func (l *pool) release() { <-l.turn }

// carryOut writes down what will be done before it does it: a provider that dies in between goes on from there.
func (l *pool) carryOut(o order, epoch uint64) (int, error) {
	if answer, done, err := l.state.answered(o); done || err != nil {
		return answer, err
	}
	before := l.clone()
	l.state.Epoch = max(l.state.Epoch, epoch)
	var ended []instance
	for _, id := range o.Instances {
		if at := l.state.find(id); at >= 0 && !l.state.Instances[at].Deleting {
			l.end(&l.state.Instances[at])
			ended = append(ended, l.state.Instances[at])
		}
	}
	l.state.Target = max(o.Target, l.state.standing())
	stock := l.withinStock()
	if stock == nil {
		l.state.remember(o, l.state.Target)
	}
	l.reserve()
	answer := l.state.Target
	if err := l.state.write(l.path); err != nil {
		l.state = before
		return 0, fmt.Errorf("write down the order of pool %s, so nothing was done: %w", l.config.ID, err)
	}
	for _, i := range ended {
		l.terminate(i)
	}
	l.launch()
	return answer, stock
}

// end marks a machine as one to be stopped, if it runs and fewer than are kept so are, and otherwise as one to be ended.
func (l *pool) end(i *instance) {
	stopped := 0
	for k := range l.state.Instances {
		if l.state.Instances[k].Stopped {
			stopped++
		}
	}
	if stopped < l.config.Standby && !i.Stopped && i.Failed == "" && i.Process.alive() {
		i.Stopped = true
		return
	}
	i.Stopped, i.Deleting = false, true
}

func (l *pool) clone() state {
	s := l.state
	s.Orders, s.Instances = slices.Clone(s.Orders), slices.Clone(s.Instances)
	return s
}

// withinStock lowers the target to what the imitated cloud has, and says so.
func (l *pool) withinStock() error {
	limit := l.config.StockOut
	if limit == 0 || l.state.Target <= max(limit, l.state.standing()) {
		if l.state.Target > 0 || limit == 0 {
			l.state.StockOutSince, l.state.StockOutReason = time.Time{}, ""
		}
		return nil
	}
	reason := fmt.Sprintf("%d of %d machines of pool %s are taken", limit, limit, l.config.ID)
	if l.state.StockOutSince.IsZero() {
		l.state.StockOutSince = time.Now()
	}
	l.state.StockOutReason = reason
	l.state.Target = max(limit, l.state.standing())
	return fmt.Errorf("%w: %s", cloudprovider.ErrNoStock, reason)
}

// reserve names the machines that are missing, those that rest first.
func (l *pool) reserve() {
	for i := range l.state.Instances {
		if at := &l.state.Instances[i]; at.rests() && l.state.standing() < l.state.Target {
			at.Stopped, at.Resumed, at.Created = false, true, time.Now()
		}
	}
	for l.state.standing() < l.state.Target {
		name := l.config.ID + "-" + strings.ToLower(rand.Text()[:10])
		l.state.Instances = append(l.state.Instances, instance{
			Name: name, ID: "local://" + l.config.ID + "/" + name, Created: time.Now(),
		})
	}
}

// fill starts what the target lacks, for a provider that was just opened.
func (l *pool) fill() error {
	stock := l.withinStock()
	l.reserve()
	if err := l.state.write(l.path); err != nil {
		return err
	}
	l.launch()
	return stock
}

// launch starts the machines that were named, in the background: the order is answered once it is written down, as a
// cloud's is. A machine that cannot be started is Failed: the order stands, and whoever gave it sees it in List.
func (l *pool) launch() {
	if !slices.ContainsFunc(l.state.Instances, instance.unstarted) {
		return
	}
	l.provider.background.Go(func() {
		for l.startNext() {
		}
	})
}

// startNext starts one machine and says whether it did. The pool is free for others between two of them. What was started
// is written down once there are no more: a provider that dies before finds its machines by their command lines.
func (l *pool) startNext() bool {
	if l.acquire(l.provider.closing) != nil {
		return false // the next Open goes on
	}
	defer l.release()
	i := slices.IndexFunc(l.state.Instances, instance.unstarted)
	if i < 0 {
		_ = l.state.write(l.path)
		return false
	}
	at := &l.state.Instances[i]
	var err error
	if at.Process, err = start(l.command(*at), l.log(*at)); err != nil {
		at.Failed = "cannot be started: " + err.Error()
	}
	return true
}

func (l *pool) command(i instance) []string {
	var labels []string
	for _, key := range slices.Sorted(maps.Keys(l.labels())) {
		labels = append(labels, key+"="+l.labels()[key])
	}
	args := append(slices.Clone(l.provider.config.MachineCommand),
		"--name", i.Name, "--provider-id", i.ID, "--labels", strings.Join(labels, ","),
		"--cpu", l.config.cpu(), "--memory", l.config.memory(), "--pods", strconv.Itoa(l.config.pods()))
	for _, name := range slices.Sorted(maps.Keys(l.config.Further)) {
		args = append(args, "--further", fmt.Sprintf("%s=%d", name, l.config.Further[name]))
	}
	if len(l.config.Taints) > 0 {
		var taints []string
		for _, text := range l.config.Taints {
			m := taintPattern.FindStringSubmatch(text)
			taints = append(taints, m[1]+"="+m[2]+":"+m[3])
		}
		args = append(args, "--taints", strings.Join(taints, ","))
	}
	if delay := l.delay(i); delay != "" {
		args = append(args, "--boot-delay", delay)
	}
	return args
}

// delay is what a machine is told to wait for before it registers.
func (l *pool) delay(i instance) string {
	if i.Resumed {
		return l.config.ResumeDelay
	}
	return l.config.BootDelay
}

func (l *pool) labels() map[string]string {
	labels := map[string]string{poolLabel: l.config.ID}
	maps.Copy(labels, l.config.Labels)
	return labels
}

func (l *pool) log(i instance) string {
	return filepath.Join(l.provider.config.State, "logs", i.Name+".log")
}

// known is what stands, each machine's process looked at now.
func (l *pool) known() *cloudprovider.Known {
	k := &cloudprovider.Known{Target: l.state.Target, StockOutSince: l.state.StockOutSince, StockOutReason: l.state.StockOutReason}
	for _, i := range l.state.Instances {
		boot, _ := expected(l.delay(i)) // Validate has read it
		at := cloudprovider.Instance{ProviderID: i.ID, Created: i.Created, ExpectedReady: boot, Phase: cloudprovider.Running}
		switch {
		case i.rests():
			at.Phase = cloudprovider.Stopped
		case i.Deleting, i.Stopped:
			at.Phase = cloudprovider.Deleting
		case i.Failed != "":
			at.Phase, at.Message = cloudprovider.Failed, i.Failed
		case i.unstarted():
			at.Phase = cloudprovider.Creating
		case !i.Process.alive():
			at.Phase, at.Message = cloudprovider.Failed, "the machine ended by itself; its last words are in "+l.log(i)
		case time.Since(i.Created) < boot:
			at.Phase = cloudprovider.Creating
		}
		k.Instances = append(k.Instances, at)
	}
	slices.SortFunc(k.Instances, func(a, b cloudprovider.Instance) int { return strings.Compare(a.ProviderID, b.ProviderID) })
	return k
}

// forget drops an instance that is gone, or lets it rest. Should the disk refuse, the next Open finds no such process and drops it then.
func (l *pool) forget(id string) {
	at := l.state.find(id)
	switch {
	case at < 0:
	case l.state.Instances[at].Stopped:
		l.state.Instances[at].Process = process{}
		_ = l.state.write(l.path)
	case l.state.Instances[at].Deleting:
		l.state.Instances = slices.Delete(l.state.Instances, at, at+1)
		_ = l.state.write(l.path)
	}
}
