package demo

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/rest"

	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// folder is the base folder, as it is when nobody names one.
const folder = "live"

// stage is everything that runs and stands around while the demonstration lasts.
type stage struct {
	printer
	bins    harness.Bins
	dir     string
	cluster *harness.ControlPlane
	cfg     *rest.Config
	objects *harness.Objects
	remote  *harness.Remote
	scribe  *harness.Daemon
	reader  string // the public key of who may read Secrets
}

// set starts everything.
func (s *stage) set(ctx context.Context) (err error) {
	if s.bins, err = harness.FindBins(); err != nil {
		return err
	}
	if s.dir, err = os.MkdirTemp("", "kubescribe-demo-"); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	if err := s.step("Starting a control plane (kube-apiserver, controllers, etcd)", func() error { return s.startCluster(ctx) }); err != nil {
		return err
	}
	if s.remote, err = harness.ServeRemote(harness.RemoteOptions{Dir: filepath.Join(s.dir, "git"), Name: "demo.git"}); err != nil {
		return err
	}
	scratch := filepath.Join(s.dir, "scratch")
	if err := os.Mkdir(scratch, 0o755); err != nil {
		return err
	}
	if err := furnish(s.remote.Dir, scratch); err != nil {
		return err
	}
	s.say("Serving a Git repository at %s", s.remote.URL)
	s.say("  in its folder %s somebody left %d files of resources that are no more, and %d that are not ours", folder, orphans, len(others))
	if err := s.makeReader(); err != nil {
		return err
	}
	s.say("Making a key for who may read Secrets, with kubescribe keygen reader: %s", s.reader)
	return s.step("Starting kubescribe run --adopt --recipient age1… --repo "+s.remote.URL+", which compares both", func() error { return s.startScribe(ctx) })
}

func (s *stage) startCluster(ctx context.Context) (err error) {
	if s.cluster, err = harness.StartControlPlane(ctx, harness.ControlPlaneOptions{Bins: s.bins, Dir: filepath.Join(s.dir, "cluster")}); err != nil {
		return err
	}
	if s.cfg, err = s.cluster.REST(); err != nil {
		return err
	}
	s.objects, err = harness.NewObjects(s.cfg)
	return err
}

func (s *stage) startScribe(ctx context.Context) (err error) {
	s.scribe, err = harness.StartKubescribe(ctx, harness.KubescribeOptions{
		Bins: s.bins, Kubeconfig: s.cluster.Kubeconfig(), Repo: s.remote.URL, DataDir: s.data(), Cluster: "demo",
		Args: []string{"--adopt", "--recipient", s.reader},
	})
	if err != nil {
		return err
	}
	return s.scribe.AwaitReady(ctx)
}

// equal waits until Git equals the cluster.
func (s *stage) equal(ctx context.Context) (harness.Comparison, error) {
	ctx, cancel := context.WithTimeout(ctx, stepLimit)
	defer cancel()
	return harness.AwaitEqual(ctx, s.cfg, s.remote.Repository, harness.Scope{Folder: folder, Others: func(file string) bool {
		return othersFile(file) || isEncrypted(file)
	}})
}

// data is the data directory of kubescribe run.
func (s *stage) data() string { return filepath.Join(s.dir, "data") }

// program is a program as a person types it.
func (s *stage) program(name string) string {
	path, err := s.bins.Program(name)
	if err != nil {
		return name
	}
	return path
}

// keep says how to reach everything, and waits for ctx to end.
func (s *stage) keep(ctx context.Context) {
	s.say("")
	s.say("Everything is left running. Try:")
	s.say("")
	s.say("  export KUBECONFIG=%s", s.cluster.Kubeconfig())
	s.say("  %s create configmap hello --from-literal=to=git", s.program("kubectl"))
	s.say("  git clone %s && cd demo && git log --stat", s.remote.URL)
	s.say("  %s", s.decryptCommand())
	s.say("  %s get --data-dir %s    # and diff, reconcile with the NAME it shows", s.program("kubescribe"), s.data())
	s.say("  curl %s/readyz %s/metrics", s.scribe.URL, s.scribe.URL)
	s.say("  tail -f %s", s.scribe.Log)
	s.say("")
	s.say("Ctrl-C stops and removes all of it.")
	select {
	case <-ctx.Done():
	case <-s.scribe.Exited():
		s.say("kubescribe has ended by itself:\n%s", s.scribe.Tail(5))
	case <-s.cluster.Exited():
		s.say("the control plane has ended by itself:\n%s", s.cluster.Tail(5))
	}
}

// clear stops everything that was started and removes all files.
func (s *stage) clear() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var errs []error
	if s.scribe != nil {
		_, err := s.scribe.Terminate(ctx)
		errs = append(errs, err)
	}
	if s.remote != nil {
		errs = append(errs, s.remote.Close())
	}
	if s.cluster != nil {
		s.cluster.Kill() // its files go too: there is nothing to end in order
	}
	if s.dir != "" {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}
