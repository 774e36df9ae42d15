package gateway

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
)

func mustPrefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func TestConfigNamesTheField(t *testing.T) {
	good := Config{Name: "n", Listen: ":0", Link: "c:1"}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		field string
		spoil func(*Config)
	}{
		{"Name", func(c *Config) { c.Name = "" }},
		{"Listen", func(c *Config) { c.Listen = "" }},
		{"Listen", func(c *Config) { c.Listen = "8080" }},
		{"TLS", func(c *Config) { c.ListenTLS = ":0" }},
		{"Link", func(c *Config) { c.Link = "" }},
		{"Admin", func(c *Config) { c.Admin = "x" }},
		{"QueueTotal", func(c *Config) { c.QueueTotal = -1 }},
		{"DialTimeout", func(c *Config) { c.DialTimeout = -1 }},
	} {
		bad := good
		c.spoil(&bad)
		if err := bad.Validate(); err == nil || !strings.Contains(err.Error(), "gateway.Config."+c.field+":") {
			t.Errorf("%s: %v", c.field, err)
		}
	}
}

func TestTakenPortIsNamed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = Listen(Config{Name: "n", Listen: "127.0.0.1:0", Admin: l.Addr().String(), Link: "127.0.0.1:1"})
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), l.Addr().String()) || !strings.Contains(err.Error(), "Admin") {
		t.Errorf("error: %v", err)
	}
}
