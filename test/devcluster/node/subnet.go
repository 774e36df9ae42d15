package node

import (
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

const (
	// firstNet to lastNet are the second bytes used: 127.64.0.0 to 127.127.255.255 are 16384 machines of 253 pods.
	// 127.0 to 127.63 stay with the system (127.0.0.53 is a name server on many).
	firstNet, lastNet = 64, 127
	subnets           = (lastNet - firstNet + 1) * 256
	firstPod, lastPod = 2, 254
	// kubeletPort is free on every machine, as each has an address of its own.
	kubeletPort = 10250
)

// subnet is the 127.A.B.0/24 of one machine: .1 is the machine, the rest its pods. A lock file keeps it from all other
// machines on this host, of whatever cluster, and is free again when the process ends however it ends.
type subnet struct {
	a, b byte
	lock *os.File

	mu   sync.Mutex
	used [256]bool
	last int // the last address given; the next pod gets the one after, so that addresses come back late
}

// allocate takes a free subnet. The search starts at a place that the seed decides, so that machines rarely meet.
func allocate(seed string) (*subnet, net.Listener, error) {
	dir := filepath.Join(os.TempDir(), "wholescale-devcluster-net-"+strconv.Itoa(os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("make the folder of address locks: %w", err)
	}
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(seed))
	start := int(hash.Sum32() % subnets)
	for i := range subnets {
		n := (start + i) % subnets
		s := &subnet{a: byte(firstNet + n/256), b: byte(n % 256), last: firstPod - 1}
		listener, err := s.take(dir)
		if err != nil {
			return nil, nil, err
		}
		if listener != nil {
			return s, listener, nil
		}
	}
	return nil, nil, fmt.Errorf("all %d loopback subnets are taken (see the locks in %s)", subnets, dir)
}

// take returns nil when the subnet is somebody else's.
func (s *subnet) take(dir string) (net.Listener, error) {
	file, err := os.OpenFile(filepath.Join(dir, fmt.Sprintf("127.%d.%d", s.a, s.b)), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open an address lock: %w", err)
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = file.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, nil
		}
		return nil, fmt.Errorf("lock an address: %w", err)
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(s.host().String(), strconv.Itoa(kubeletPort)))
	if err != nil {
		_ = file.Close() // another user's machine, or a server on all addresses
		return nil, nil  //nolint:nilerr // which is not an error, but another subnet's turn
	}
	s.lock = file
	return listener, nil
}

func (s *subnet) host() netip.Addr { return netip.AddrFrom4([4]byte{127, s.a, s.b, 1}) }

// pod gives an address, or false when all are in use.
func (s *subnet) pod() (netip.Addr, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range lastPod - firstPod + 1 {
		s.last++
		if s.last > lastPod {
			s.last = firstPod
		}
		if !s.used[s.last] {
			s.used[s.last] = true
			return netip.AddrFrom4([4]byte{127, s.a, s.b, byte(s.last)}), true
		}
	}
	return netip.Addr{}, false
}

func (s *subnet) release(ip netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used[ip.As4()[3]] = false
}

func (s *subnet) close() { _ = s.lock.Close() }
