package wire

import (
	"testing"
	"time"
)

func TestEachWaitIsInItsBin(t *testing.T) {
	for _, c := range []struct {
		wait time.Duration
		bin  int
	}{
		{-time.Second, 0}, {0, 0}, {1, 1}, {time.Millisecond, 1}, {time.Millisecond + 1, 2}, {1400 * time.Microsecond, 2}, {2 * time.Millisecond, 3},
		{time.Second, 21}, {1024 * time.Millisecond, 21}, {1025 * time.Millisecond, 22}, {time.Hour, WaitBins - 1},
	} {
		if got := WaitBin(c.wait); got != c.bin {
			t.Errorf("%v is in bin %d, not %d", c.wait, got, c.bin)
		}
	}
	for i := 1; i < WaitBins; i++ {
		if WaitBound(i) <= WaitBound(i-1) || WaitBin(WaitBound(i)) != i {
			t.Errorf("bin %d ends at %v, the one before at %v", i, WaitBound(i), WaitBound(i-1))
		}
	}
}
