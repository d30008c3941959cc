package e2e_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// What all tests of the package share. Each has its own namespaces, repository
// and data directory; one that kills the API server starts its own. Those are parallel
// that look at nothing but their own namespaces, or cluster, and wait most of the time.
var (
	bins    harness.Bins
	cluster *harness.ControlPlane
	network *harness.Network // for TestFaults alone
)

func TestMain(m *testing.M) {
	code, err := setUp(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func setUp(m *testing.M) (code int, err error) {
	if bins, err = harness.FindBins(); err != nil {
		return 0, err
	}
	if os.Getenv(envFaultsSeconds) != "" { // before the first who needs loopback to be up
		if network, err = harness.NewNetwork(); err != nil {
			return 0, err
		}
	}
	dir, err := os.MkdirTemp("", "kubescribe-e2e-")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // what is left is in the temporary directory
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cluster, err = harness.StartControlPlane(ctx, harness.ControlPlaneOptions{
		Bins: bins, Dir: filepath.Join(dir, "controlplane"), Audit: true, Fast: true,
	})
	if err != nil {
		return 0, err
	}
	defer cluster.Kill()
	return m.Run(), nil
}
