package gateway

import (
	"net/url"
	"strings"
	"testing"

	"github.com/wholescale/wholescale/api/wire"
)

func testTable(routes ...*wire.Route) *table {
	return newTable(routes, func(r *wire.Route) (*workload, *route) { return &workload{name: r.GetWorkload()}, &route{} })
}

func TestRouteTable(t *testing.T) {
	table := testTable(
		&wire.Route{Workload: "a/api", Hosts: []string{"shop.test"}, PathPrefixes: []string{"/api", "/api/v2/"}},
		&wire.Route{Workload: "a/first", Hosts: []string{"twice.test"}},
		&wire.Route{Workload: "a/second", Hosts: []string{"twice.test"}},
		&wire.Route{Workload: "a/shop", Hosts: []string{"Shop.Test."}},
		&wire.Route{Workload: "a/users", Hosts: []string{"shop.test"}, PathPrefixes: []string{"/api/users"}},
		&wire.Route{Workload: "b/deep", Hosts: []string{"*.eu.example.org"}},
		&wire.Route{Workload: "b/paths", Hosts: []string{"only.example.org"}, PathPrefixes: []string{"/p"}},
		&wire.Route{Workload: "b/six", Hosts: []string{"[::1]"}},
		&wire.Route{Workload: "b/wild", Hosts: []string{"*.example.org"}},
		&wire.Route{Workload: "c/nothing", Hosts: []string{"", "*."}},
	)
	for _, c := range []struct{ host, path, want string }{
		{"shop.test", "/", "a/shop"},
		{"shop.test", "", "a/shop"},
		{"SHOP.test:8080", "/x", "a/shop"},
		{"shop.test.", "/x", "a/shop"},
		{"shop.test.:80", "/x", "a/shop"},
		{"shop.test", "/api", "a/api"},
		{"shop.test", "/api/", "a/api"},
		{"shop.test", "/apis", "a/shop"},
		{"shop.test", "/api/v2/x", "a/api"},
		{"shop.test", "/api/users", "a/users"},
		{"shop.test", "/api/users/7", "a/users"},
		{"shop.test", "/api/usersx", "a/api"},
		{"shop.test", "//api//users", "a/users"},
		{"shop.test", "/api/../x", "a/shop"},
		{"shop.test", "/api/%2e%2e/x", "a/shop"},
		{"shop.test", "/../../api", "a/api"},
		{"shop.test", "/api%2Fusers", "a/shop"},
		{"shop.test", "/%61pi/users", "a/users"},
		{"twice.test", "/", "a/first"},
		{"x.example.org", "/", "b/wild"},
		{"x.y.example.org", "/", "b/wild"},
		{"x.eu.example.org", "/", "b/deep"},
		{"eu.example.org", "/", "b/wild"},
		{"example.org", "/", ""},
		{"only.example.org", "/p/q", "b/paths"},
		{"only.example.org", "/q", "b/wild"},
		{"[::1]:80", "/", "b/six"},
		{"[::1]", "/", "b/six"},
		{"other.test", "/", ""},
		{"", "/", ""},
		{".", "/", ""},
	} {
		u, err := url.ParseRequestURI(max(c.path, "/"))
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if e := table.find(c.host, u); e != nil {
			got = e.workload.name
		}
		if got != c.want {
			t.Errorf("find(%q, %q) = %q, want %q", c.host, c.path, got, c.want)
		}
	}
}

func FuzzRoute(f *testing.F) {
	f.Add("shop.test:80", "/api/%2e%2e/x")
	f.Add("[::1]:1", "//")
	f.Add("*.example.org", "/a%2Fb")
	table := testTable(
		&wire.Route{Workload: "a/api", Hosts: []string{"shop.test"}, PathPrefixes: []string{"/api"}},
		&wire.Route{Workload: "b/wild", Hosts: []string{"*.example.org"}},
	)
	f.Fuzz(func(t *testing.T, host, path string) {
		u, err := url.ParseRequestURI(path)
		if err != nil {
			return
		}
		e := table.find(host, u)
		if upper := table.find(strings.ToUpper(host), u); strings.ToLower(strings.ToUpper(host)) == strings.ToLower(host) && upper != e { //nolint:staticcheck // of letters that have two lower cases EqualFold says something else
			t.Errorf("the case of host %q matters", host)
		}
		if e == nil {
			return
		}
		switch h := strings.ToLower(host); e.workload.name {
		case "a/api":
			if !strings.HasPrefix(h, "shop.test") || requestSegments(u)[0] != "api" {
				t.Errorf("%q %q went to %s", host, path, e.workload.name)
			}
		case "b/wild":
			if !strings.Contains(h, ".example.org") {
				t.Errorf("%q %q went to %s", host, path, e.workload.name)
			}
		}
		for _, s := range requestSegments(u) {
			if s == "" || s == "." || s == ".." {
				t.Errorf("segment %q of %q", s, path)
			}
		}
	})
}

func TestPodAddresses(t *testing.T) {
	for _, c := range []struct {
		address string
		why     string // part of the error; empty means allowed
	}{
		{"10.1.2.3:8080", ""},
		{"[fd00::7]:80", ""},
		{"127.0.0.1:80", "loopback"},
		{"[::1]:80", "loopback"},
		{"[::ffff:127.0.0.1]:80", "loopback"},
		{"169.254.169.254:80", "link-local"},
		{"[::ffff:169.254.169.254]:80", "link-local"},
		{"[64:ff9b::a9fe:a9fe]:80", "link-local"},
		{"[fe80::1]:80", "link-local"},
		{"[fe80::1%eth0]:80", "interface"},
		{"[fd00:ec2::254]:80", "link-local"},
		{"0.0.0.0:80", "unspecified"},
		{"[::]:80", "unspecified"},
		{"224.0.0.1:80", "link-local"},
		{"239.1.1.1:80", "multicast"},
		{"255.255.255.255:80", "multicast"},
		{"10.1.2.3:0", "without a port"},
		{"10.96.0.1:443", "denied"},
		{"metadata.internal:80", "not ip:port"},
		{"10.1.2.3", "not ip:port"},
		{"", "not ip:port"},
	} {
		a := addresses{}
		a.deny = append(a.deny, mustPrefix("10.96.0.0/16"))
		err := a.check(c.address)
		if (err == nil) != (c.why == "") || (err != nil && !strings.Contains(err.Error(), c.why)) {
			t.Errorf("check(%q) = %v, want %q", c.address, err, c.why)
		}
		a.allowLoopback = true
		if err := a.check(c.address); c.why == "loopback" && err != nil {
			t.Errorf("check(%q) with loopback allowed: %v", c.address, err)
		}
	}
}
