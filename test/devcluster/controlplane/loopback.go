package main

import (
	"net"
	"runtime"
	"strings"

	netutils "k8s.io/utils/net"
)

// allowLoopbackEndpoints lets EndpointSlices hold 127.0.0.0/8. The pods of these clusters are processes, each on a
// loopback address of its own, and the API server refuses such an address in one place only, ValidateEndpointIP. That
// function alone is shown another address; every other caller sees the one that was parsed.
func allowLoopbackEndpoints() {
	parse := netutils.ParseIPSloppy
	netutils.ParseIPSloppy = func(text string) net.IP {
		ip := parse(text)
		if ip == nil || !ip.IsLoopback() {
			return ip
		}
		caller, _, _, ok := runtime.Caller(1)
		if !ok || !strings.HasSuffix(callerName(caller), "/core/validation.ValidateEndpointIP") {
			return ip
		}
		return net.IPv4(192, 0, 2, 1)
	}
}

func callerName(pc uintptr) string {
	frame, _ := runtime.CallersFrames([]uintptr{pc + 1}).Next()
	return frame.Function
}
