package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

// etcdURL is a socket in the working directory: only this user can reach it,
// and it needs no TCP port.
var etcdURL = url.URL{Scheme: "unix", Host: "etcd.sock"}

const etcdTimeout = time.Minute

// startEtcd runs etcd on the data in the working directory and returns once it
// serves requests. The caller must close it.
func startEtcd(ctx context.Context, unsafeNoFsync bool) (_ *embed.Etcd, err error) {
	defer func() {
		if p := recover(); p != nil { // what etcd does with data it cannot read
			err = fmt.Errorf("the data is damaged: %v", p)
		}
	}()
	cfg := embed.NewConfig()
	cfg.Name = "controlplane"
	cfg.Dir = "etcd"
	cfg.UnsafeNoFsync = unsafeNoFsync
	cfg.ListenClientUrls = []url.URL{etcdURL}
	cfg.AdvertiseClientUrls = []url.URL{etcdURL}
	cfg.ListenPeerUrls = nil // the only member has no peers
	cfg.AdvertisePeerUrls = []url.URL{{Scheme: "unix", Host: "no-peers.sock"}}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	logger, err := newEtcdLogger()
	if err != nil {
		return nil, err
	}
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(logger)

	etcd, err := embed.StartEtcd(cfg)
	if err != nil {
		return nil, err
	}
	select {
	case <-etcd.Server.ReadyNotify():
		return etcd, nil
	case err = <-etcd.Err():
	case <-etcd.Server.StopNotify():
		err = errors.New("it stopped while starting")
	case <-time.After(etcdTimeout):
		err = errors.New("not ready after " + etcdTimeout.String())
	case <-ctx.Done():
		err = ctx.Err()
	}
	etcd.Close()
	return nil, err
}
