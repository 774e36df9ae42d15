package autoscaler_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// house is who may import what. Each line may import the packages of the lines above it.
const module = "github.com/wholescale/wholescale/"

var forbidden = []struct {
	pkg    string
	prefix []string // no dependency, however far, may begin with one of these
	why    string
}{
	{"autoscaler", []string{"os", "net", "log", "context", "math/rand", "k8s.io", module + "api", module + "cloudprovider", module + "gateway", module + "simulator"},
		"the decision is a pure function: no I/O, no clock, no chance, no Kubernetes type"},
	{"autoscaler/window", []string{module}, "a leaf has small types of its own"},
	{"autoscaler/pack", []string{module}, "a leaf has small types of its own"},
	{"autoscaler/learn", []string{module}, "a leaf has small types of its own"},
	{"predictors", []string{module}, "a leaf has small types of its own"},
	{"autoscaler/fit", []string{"k8s.io", module + "autoscaler/window", module + "autoscaler/learn", module + "predictors", module + "api"}, "fit knows labels and, of ours, the numbers of pack alone"},
	{"autoscaler/scenario", []string{"k8s.io", "net", module + "api", module + "cloudprovider"}, "a scenario is text about the core alone"},
	{"autoscaler/story", []string{"k8s.io", module + "api", module + "cloudprovider", module + "gateway", module + "simulator"}, "a story is told from the core's data alone"},
	{"autoscaler/live", []string{"k8s.io", module + "api", module + "cloudprovider", module + "gateway", module + "simulator", module + "autoscaler/controller"}, "the live page shows what it is given"},
	{"autoscaler/live/plot", []string{module, "net"}, "pages of all kinds are drawn with it, the simulator's too"},
	{"cloudprovider", []string{"k8s.io", module + "autoscaler", module + "api"}, "the provider's seam knows neither the core nor Kubernetes"},
	{"simulator", []string{"k8s.io", "net/http", "google.golang.org/grpc", module + "gateway", module + "autoscaler/controller"}, "the simulator is the core with a virtual world"},
	{"gateway", []string{"k8s.io", module + "autoscaler", module + "cloudprovider"}, "whoever takes the gateway gets no Kubernetes client"},
	{"cmd/gateway", []string{"k8s.io"}, "whoever takes the gateway gets no Kubernetes client"},
	{"cmd/provider", []string{"k8s.io/client-go", "k8s.io/api", module + "autoscaler"}, "the process with the cloud's credential has no Kubernetes client"},
	{"autoscaler/controller", []string{module + "cloudprovider/local", module + "gateway", module + "simulator"}, "the controller holds no cloud SDK"},
}

func TestImportsKeepTheHouse(t *testing.T) {
	for _, rule := range forbidden {
		t.Run(rule.pkg, func(t *testing.T) {
			for _, dep := range dependencies(t, module+rule.pkg) {
				for _, prefix := range rule.prefix {
					if dep == strings.TrimSuffix(module+rule.pkg, "/") || dep != prefix && !strings.HasPrefix(dep, strings.TrimSuffix(prefix, "/")+"/") {
						continue
					}
					t.Errorf("%s depends on %s: %s", rule.pkg, dep, rule.why)
				}
			}
		})
	}
}

// dependencies are all packages that pkg needs, but of the standard library only those that our own code imports itself.
func dependencies(t *testing.T, pkg string) []string {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}} {{join .Imports \" \"}}{{end}}", pkg).CombinedOutput()
	if err != nil {
		t.Skipf("%s is not there: %v\n%s", pkg, err, out)
	}
	deps := []string{}
	for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		deps = append(deps, words[0])
		if strings.HasPrefix(words[0], module) {
			deps = append(deps, words[1:]...)
		}
	}
	slices.Sort(deps)
	return slices.Compact(deps)
}
