package gateway

import "syscall"

// tcpUserTimeout is TCP_USER_TIMEOUT of linux/tcp.h, which package syscall does not name.
const tcpUserTimeout = 0x12

// limitSilence has the kernel end a connection to a host that vanished without a word; its own limit is about 15 minutes.
// This needs no leave of the controller, unlike pings.
func limitSilence(_, _ string, conn syscall.RawConn) error {
	var err error
	if e := conn.Control(func(fd uintptr) {
		err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(linkSilence.Milliseconds()))
	}); e != nil {
		return e
	}
	return err
}
