package devcluster

import (
	"context"
	"io"
	"os"
	"testing"
	"time"
)

// Start starts a cluster for a test and ends it at the test's end, or when the test process dies. It skips under
// -short. The first start on a machine builds the control plane; that takes about five minutes and shows on stderr.
func Start(t testing.TB, config Config) *Cluster {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a real control plane")
	}
	if config.Progress == nil {
		config.Progress = io.Writer(os.Stderr)
	}
	// Long enough for a first build on a busy machine; StartTimeout bounds the start itself.
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Minute)
	defer cancel()
	cluster, err := Up(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the logs of the cluster were in %s", cluster.DataDir())
		}
		if err := cluster.Stop(); err != nil {
			t.Errorf("end the cluster: %v", err)
		}
	})
	return cluster
}
