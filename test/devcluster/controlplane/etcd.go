package main

import (
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/embed"
)

// etcdStart bounds the wait for a single etcd member to serve; it needs well under a second on a free machine.
const etcdStart = 60 * time.Second

// etcdCommand is one etcd member for one throw-away cluster: no peers, no fsync unless asked for.
func etcdCommand() *cobra.Command {
	var dir, client string
	var noSync bool
	command := &cobra.Command{
		Use:          "etcd",
		Short:        "one etcd member",
		Args:         cobra.NoArgs,
		SilenceUsage: true,
		RunE: func(*cobra.Command, []string) error {
			return serveEtcd(dir, client, noSync)
		},
	}
	command.Flags().StringVar(&dir, "data-dir", "", "folder of the member's data (required)")
	command.Flags().StringVar(&client, "listen-client-url", "", "URL to serve clients on, such as unix:///run/etcd.sock:0 (required)")
	command.Flags().BoolVar(&noSync, "unsafe-no-fsync", false, "never wait for the disk; data may be lost with the machine")
	return command
}

func serveEtcd(dir, client string, noSync bool) error {
	if dir == "" || client == "" {
		return fmt.Errorf("etcd: give --data-dir and --listen-client-url")
	}
	clientURL, err := url.Parse(client)
	if err != nil {
		return fmt.Errorf("etcd: --listen-client-url: %w", err)
	}
	config := embed.NewConfig()
	config.Dir = dir
	config.UnsafeNoFsync = noSync
	config.LogLevel = "warn"
	config.ListenClientUrls = []url.URL{*clientURL}
	config.AdvertiseClientUrls = config.ListenClientUrls
	// A single member talks to no peer, yet must listen: a socket beside the data keeps that off the network.
	peer := url.URL{Scheme: "unix", Host: "peer.sock:0"}
	config.ListenPeerUrls = []url.URL{peer}
	config.AdvertisePeerUrls = config.ListenPeerUrls
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	config.AutoCompactionMode = "periodic"
	config.AutoCompactionRetention = "5m"
	config.QuotaBackendBytes = 4 << 30 // thousands of nodes and their pods; the default is 2 GiB
	member, err := embed.StartEtcd(config)
	if err != nil {
		return fmt.Errorf("etcd: start in %s: %w", dir, err)
	}
	defer member.Close()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	select {
	case <-member.Server.ReadyNotify():
	case err := <-member.Err():
		return fmt.Errorf("etcd: %w", err)
	case <-time.After(etcdStart):
		return fmt.Errorf("etcd: not ready after %s", etcdStart)
	}
	select {
	case <-stop:
		return nil
	case err := <-member.Err():
		return fmt.Errorf("etcd: %w", err)
	}
}
