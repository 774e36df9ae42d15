package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/wholescale/wholescale/api/v1alpha1"
	ctrl "github.com/wholescale/wholescale/autoscaler/controller"
)

// objects are what --config holds: what people apply to a cluster, so that what is simulated is what is applied.
type objects struct {
	autoscalers []v1alpha1.PodAutoscaler
	pools       []v1alpha1.NodePool
	deployments map[string]*appsv1.Deployment // by name
	// ignored are kinds that say nothing to a simulation, such as Service/web.
	ignored []string
}

// mostConfig bounds a file of objects.
const mostConfig = 4 << 20

// readObjects reads files of objects, with --- between them.
func readObjects(paths []string) (*objects, error) {
	o := &objects{deployments: map[string]*appsv1.Deployment{}}
	for _, path := range paths {
		text, err := readBounded(path, mostConfig)
		if err != nil {
			return nil, fmt.Errorf("%w: --config: %w", errUsage, err)
		}
		documents := utilyaml.NewYAMLReader(newBuffered(text))
		for i := 1; ; i++ {
			document, err := documents.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			if err == nil {
				err = o.add(document)
			}
			if err != nil {
				return nil, fmt.Errorf("%w: --config %s: object %d: %w", errUsage, path, i, err)
			}
		}
	}
	if len(o.autoscalers)+len(o.pools) == 0 && len(paths) > 0 {
		return nil, fmt.Errorf("%w: --config: there is neither a PodAutoscaler nor a NodePool nor a Deployment with %s in it", errUsage, v1alpha1.AnnotationAutoscale)
	}
	return o, nil
}

func readBounded(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // read only
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(text)) > most {
		err = fmt.Errorf("%s: it is larger than %d bytes", path, most)
	}
	return text, err
}

func (o *objects) add(document []byte) error {
	if len(bytes.TrimSpace(document)) == 0 {
		return nil
	}
	var head struct {
		metav1.TypeMeta   `json:",inline"`
		metav1.ObjectMeta `json:"metadata"`
	}
	if err := yaml.Unmarshal(document, &head); err != nil {
		return err
	}
	if head.Kind == "" {
		if onlyComments(document) {
			return nil
		}
		return errors.New("it has no kind")
	}
	ours := v1alpha1.Group + "/v1alpha1"
	switch {
	case head.APIVersion == ours && head.Kind == "PodAutoscaler":
		var p v1alpha1.PodAutoscaler
		if err := yaml.UnmarshalStrict(document, &p); err != nil {
			return err
		}
		o.autoscalers = append(o.autoscalers, p)
	case head.APIVersion == ours && head.Kind == "NodePool":
		var p v1alpha1.NodePool
		if err := yaml.UnmarshalStrict(document, &p); err != nil {
			return err
		}
		o.pools = append(o.pools, p)
	case head.APIVersion == "apps/v1" && head.Kind == "Deployment":
		d := &appsv1.Deployment{}
		if err := yaml.UnmarshalStrict(document, d); err != nil {
			return err
		}
		return o.deployment(d)
	default:
		o.ignored = append(o.ignored, head.Kind+"/"+head.Name)
	}
	return nil
}

func onlyComments(document []byte) bool {
	for line := range strings.Lines(string(document)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			return false
		}
	}
	return true
}

// deployment keeps what a replica asks for, and makes a PodAutoscaler of its annotations.
func (o *objects) deployment(d *appsv1.Deployment) error {
	o.deployments[d.Name] = d
	spec, err := ctrl.AnnotatedSpec(d)
	if spec != nil && err == nil {
		o.autoscalers = append(o.autoscalers, v1alpha1.PodAutoscaler{ObjectMeta: metav1.ObjectMeta{Namespace: d.Namespace, Name: d.Name}, Spec: *spec})
	}
	return err
}

// of is the object for a function of the trace: the one whose target or host is called like it, or the only one.
func (o *objects) of(function string) *v1alpha1.PodAutoscaler {
	for i := range o.autoscalers {
		p := &o.autoscalers[i]
		if p.Spec.TargetRef.Name == function || p.Namespace+"/"+p.Spec.TargetRef.Name == function {
			return p
		}
		for _, host := range p.Spec.Hosts {
			if ok, err := path.Match(host, function); ok && err == nil {
				return p
			}
		}
	}
	if len(o.autoscalers) == 1 {
		return &o.autoscalers[0]
	}
	return nil
}

// spec is what a function is scaled by: its object's, or none; flags that were given go before it.
func (f *simulateFlags) spec(object *v1alpha1.PodAutoscaler) v1alpha1.PodAutoscalerSpec {
	var s v1alpha1.PodAutoscalerSpec
	if object != nil {
		s = *object.Spec.DeepCopy()
	}
	if s.TargetRef.Name == "" {
		s.TargetRef.Name = "chat"
	}
	given := func(name string) bool { return object == nil || f.given(name) }
	if given("limit") {
		s.Concurrency.Limit = int32(f.slots)
	}
	if given("max") && f.most > 0 {
		s.Replicas.Max = int32(f.most)
	}
	if given("window") {
		s.Windows.Stable = &metav1.Duration{Duration: f.window}
	}
	if given("hold") {
		s.Timeouts.Hold = &metav1.Duration{Duration: f.hold}
	}
	if given("objective") && f.objective > 0 {
		s.Objective.Wait = &metav1.Duration{Duration: f.objective}
	}
	if given("price-of-waiting") && f.waitPrice > 0 {
		s.Objective.Price = priceText(f.waitPrice)
	}
	f.tuneAutoscaler(&s)
	return s
}

// settings are what the controller would tell the core, with what only a simulation may do: to have no objective.
func (f *simulateFlags) settings(object *v1alpha1.PodAutoscaler) (ctrl.Settings, error) {
	spec := f.spec(object)
	s, err := ctrl.SettingsOf(&spec)
	if err != nil {
		return s, fmt.Errorf("%w: PodAutoscaler of %s: %w", errUsage, spec.TargetRef.Name, err)
	}
	if f.given("objective") && f.objective == 0 {
		s.Policy.Objective.Wait = 0
	}
	return s, nil
}

// given says that a flag stands on the command line.
func (f *simulateFlags) given(name string) bool {
	return f.command != nil && f.command.Flags().Changed(name)
}

// clock turns the run's time into what schedules of objects are read by, and back.
type clock struct{ begin, epoch time.Time }

func (c clock) real(at time.Time) time.Time    { return c.begin.Add(at.Sub(c.epoch)) }
func (c clock) virtual(at time.Time) time.Time { return c.epoch.Add(at.Sub(c.begin)) }
