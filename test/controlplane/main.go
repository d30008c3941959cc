// Command controlplane runs a real Kubernetes control plane on this machine's
// loopback interface: kube-apiserver, the controllers behind deletes and
// owners, and etcd, in one process. It has no nodes: Pods stay Pending.
//
// Build it and the matching kubectl from this folder with
//
//	V="k8s.io/component-base/version k8s.io/client-go/pkg/version"
//	LDFLAGS="-s -w $(for p in $V; do echo "-X $p.gitVersion=v1.37.2 -X $p.gitMajor=1 -X $p.gitMinor=37"; done | xargs)"
//	GOWORK=off CGO_ENABLED=0 go build -trimpath -ldflags "$LDFLAGS" -o ../../bin/controlplane .
//	GOWORK=off CGO_ENABLED=0 go build -trimpath -ldflags "$LDFLAGS" -o ../../bin/kubectl k8s.io/kubernetes/cmd/kubectl
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/kubescribe/kubescribe/test/controlplane/internal/cluster"
)

func main() {
	opts, err := cluster.ParseArgs(os.Args[1:], os.Stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		fmt.Fprintf(os.Stderr, "controlplane: %v (see controlplane --help)\n", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := cluster.Up(ctx, opts, os.Stdout); err != nil {
		fmt.Fprintf(cluster.Console, "controlplane: %v\n", err)
		os.Exit(1)
	}
}
