package gateway

import (
	"fmt"
	"net/netip"
)

// addresses says which addresses may be pods. Whoever can write an EndpointSlice could otherwise have the gateway ask the
// cloud's metadata service, or itself, on a client's behalf.
type addresses struct {
	allowLoopback bool
	deny          []netip.Prefix
}

var (
	// Metadata services that are not in a link-local range.
	metadataIPv6 = netip.MustParseAddr("fd00:ec2::254")
	// NAT64 carries an IPv4 address in its last four bytes.
	nat64 = netip.MustParsePrefix("64:ff9b::/96")
)

// check returns why a pod must not be dialled at "ip:port", or nil.
func (a addresses) check(address string) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("pod address %q is not ip:port: %w", address, err)
	}
	ip := ap.Addr().Unmap()
	if nat64.Contains(ip) {
		b := ip.As16()
		ip = netip.AddrFrom4([4]byte(b[12:]))
	}
	refuse := func(what string) error {
		return fmt.Errorf("pod address %q is %s, which no pod may have", address, what)
	}
	switch {
	case ap.Port() == 0:
		return refuse("without a port")
	case ip.Zone() != "":
		return refuse("bound to a network interface")
	case ip.IsUnspecified():
		return refuse("unspecified")
	case ip.IsLinkLocalUnicast() || ip.IsLinkLocalMulticast() || ip == metadataIPv6:
		return refuse("link-local")
	case ip.IsMulticast() || ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return refuse("multicast")
	case ip.IsLoopback() && !a.allowLoopback:
		return refuse("loopback")
	}
	for _, p := range a.deny {
		if p.Contains(ip) {
			return refuse("in the denied network " + p.String())
		}
	}
	return nil
}
