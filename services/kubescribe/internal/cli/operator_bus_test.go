package cli

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/manifest"
	"github.com/kubescribe/kubescribe/shared/service"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// idle is an install on whose bus no service works: a test says what they would.
type idle struct {
	*testing.T
	url    string
	bus    *bus.Bus
	phases *bus.Bucket[event.PhaseRecord]
}

func newIdle(t *testing.T) *idle {
	t.Helper()
	in := &idle{T: t, url: natsServer(t)}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var err error
	if in.bus, err = bus.Connect(ctx, bus.Config{Access: bus.Access{URL: in.url}, Name: t.Name(), Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(in.bus.Close)
	if err := in.bus.Provision(ctx, bus.Options{Replicas: 1}); err != nil {
		t.Fatal(err)
	}
	if in.phases, err = bus.OpenBucket[event.PhaseRecord](ctx, in.bus, subject.BucketPhase); err != nil {
		t.Fatal(err)
	}
	return in
}

func named(namespace, name string) event.DestinationKey {
	return event.DestinationKey{Cluster: "prod", Namespace: namespace, Name: name}
}

// register registers a destination on a repository.
func (in *idle) register(k event.DestinationKey, repo string) {
	in.Helper()
	kv, err := bus.OpenBucket[event.Destination](in.Context(), in.bus, subject.BucketDestination)
	if err == nil {
		_, err = kv.Put(in.Context(), subject.DestinationToken(k), event.Destination{
			V: event.Version, Key: k, ClusterID: "cluster-uid", URL: repo, Branch: "main", BaseFolder: "live", BranchKey: "0123456789abcdef",
			Committer: event.Person{Name: "k", Email: "k@localhost"}, Rules: []event.Rule{{Groups: []string{""}, Resources: []string{"*"}}},
		}, 0)
	}
	if err != nil {
		in.Fatal(err)
	}
}

// phase writes a destination's entry of KS_PHASE.
func (in *idle) phase(k event.DestinationKey, rec event.PhaseRecord) {
	in.Helper()
	_, rev, err := in.phases.Newest(in.Context(), subject.DestinationToken(k))
	if err == nil || errors.Is(err, bus.ErrNoMessage) {
		rec.V, rec.Attempt, rec.Phase = event.Version, 1, event.LiveProcessing
		if rec.Outcome != nil && rec.Outcome.Run == rec.Run && !rec.Continues() {
			rec.Settled = rec.Closed
		}
		_, err = in.phases.Put(in.Context(), subject.DestinationToken(k), rec, rev)
	}
	if err != nil {
		in.Fatal(err)
	}
}

// types begins a command on the install's bus.
func (in *idle) types(args ...string) *running {
	in.Helper()
	ctx, cancel := context.WithCancel(in.Context())
	r := &running{T: in.T, stop: cancel, code: make(chan int, 1)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.code <- Main(ctx, Env{
			Args: append(args, "--nats", in.url), Stdout: r, Stderr: r, Getenv: func(string) string { return "" }, Owner: "test",
		})
	}()
	in.Cleanup(func() {
		cancel()
		<-ended
	})
	return r
}

// says waits until a command, or what it does, has said something.
func (r *running) says(text string) {
	r.Helper()
	r.until("it says "+text, func() bool { return strings.Contains(r.said(), text) })
}

// takes waits for a request, has something come of it, and takes it.
func (in *idle) takes(r *running, k event.DestinationKey, reason string, comes func()) {
	in.Helper()
	subj := subject.CtlRun(k)
	r.until("a run is asked for", func() bool {
		m, err := in.bus.LastFor(in.Context(), subject.Ctl, subj)
		if err != nil {
			return false
		}
		q, err := event.Decode[event.Request](m.Data)
		if err != nil || q.Reason != reason || q.Destination != k {
			in.Fatalf("the request is %+v, %v", q, err)
		}
		return true
	})
	comes()
	if err := in.bus.Purge(in.Context(), subject.Ctl, subj, 0); err != nil {
		in.Fatal(err)
	}
}

// TestNobodyWorks: where no service takes a request a command ends in its time, and
// what was typed wrong is said before anything is asked for.
func TestNobodyWorks(t *testing.T) {
	in := newIdle(t)
	on := func(args ...string) result { return command(t, append(args, "--nats", in.url)...) }
	if got := on("get", "-o", "json"); got.code != service.ExitOK || got.stdout != "[]\n" {
		t.Errorf("without destinations: %+v", got)
	}
	if got := on("get"); got.code != service.ExitOK || got.stdout != "" || got.stderr != "no destination is registered\n" {
		t.Errorf("without destinations: %+v", got)
	}
	if got := on("reconcile", "live"); got.code != service.ExitError || !strings.Contains(got.stderr, "none is registered") {
		t.Errorf("without destinations: %+v", got)
	}
	in.register(named("a", "live"), "/srv/live.git")
	in.register(named("b", "live"), "/srv/live.git")
	for _, c := range []struct {
		args []string
		code int
		says []string
	}{
		{[]string{"get", "c"}, 1, []string{`there is no destination "c"`, "\n  prod/a/live\n  prod/b/live"}},
		{[]string{"get", "destinations", "live", "-o", "json"}, 1, []string{"say which"}},
		{[]string{"reconcile", "live"}, 1, []string{"prod/a/live", "prod/b/live", "say which"}},
		{[]string{"approve", "live", "r"}, 1, []string{"say which"}},
		{[]string{"diff", "live"}, 1, []string{"say which"}},
		{[]string{"diff", "live", "--exit-code"}, 2, []string{"say which"}},
		{[]string{"diff", "c/live", "--exit-code"}, 2, []string{`"c/live"`}},
		{[]string{"approve", "a/live", "r"}, 1, []string{"has left the registry"}}, // no run of it ever began
		{[]string{"reconcile", "a/live", "--timeout", "1s"}, 1, []string{"not done in time (--timeout)", "waiting for the reconciler"}},
		{[]string{"reconcile", "a/live", "--timeout", "1s"}, 1, []string{"another request is waiting", "does the reconciler run?"}},
		{[]string{"reconcile", "a/live", "--timeout", "1ns"}, 1, []string{"not done in time (--timeout 1ns)"}},
		{[]string{"diff", "b/live", "--timeout", "1s", "--exit-code"}, 2, []string{"not done in time (--timeout)"}},
	} {
		got := on(c.args...)
		if got.code != c.code || got.stdout != "" {
			t.Errorf("%v: %+v", c.args, got)
		}
		for _, s := range c.says {
			if !strings.Contains(got.stderr, s) {
				t.Errorf("%v does not say %q: %s", c.args, s, got.stderr)
			}
		}
	}
	var all []shown
	got := on("get", "destinations", "--output", "json")
	if err := json.Unmarshal([]byte(got.stdout), &all); err != nil || len(all) != 2 || all[0].Destination.Key != named("a", "live") || all[0].Phase != nil || all[0].Status != nil {
		t.Errorf("it shows %+v, %v", got, err)
	}
	if got := on("get", "b/live"); got.code != service.ExitOK || !strings.Contains(got.stdout, "\nprod/b/live ") || strings.Contains(got.stdout, "prod/a/live") {
		t.Errorf("of one: %+v", got)
	}
	bare := natsServer(t)
	if got := command(t, "get", "--nats", bare); got.code != service.ExitError || !strings.Contains(got.stderr, bare+" is not usable") {
		t.Errorf("on a server without an install: %+v", got)
	}
}

// TestFollow: the run that was asked for is followed through those that come before it
// and instead of it, until it has closed or its destination has gone.
func TestFollow(t *testing.T) {
	in, k, at := newIdle(t), named("a", "live"), time.Now()
	in.register(k, "/srv/live.git")
	in.phase(k, event.PhaseRecord{Run: "r1", Closed: at})

	r := in.types("reconcile", "live")
	in.takes(r, k, event.ReasonRequested, func() {
		in.phase(k, event.PhaseRecord{Run: "r1", Reason: event.ReasonDriftCheck, Parts: []int{2}, Next: event.ReasonRequested})
	})
	r.says("run r1 (DriftCheck): 0 of 1 lanes answered; the run that was asked for follows it")
	in.phase(k, event.PhaseRecord{Run: "r2", Reason: event.ReasonRequested, Parts: []int{2}})
	r.says("run r2 (Requested): 0 of 1 lanes answered\n")
	in.phase(k, event.PhaseRecord{Run: "r3", Reason: event.ReasonWatchGap, Parts: []int{2, 5}})
	r.says("run r2 was replaced by another")
	in.phase(k, event.PhaseRecord{Run: "r3", Closed: at, Outcome: &event.Outcome{Run: "r3", Created: 7}})
	r.ends(service.ExitOK)
	r.says("prod/a/live: run r3: 7 created")

	// One that leaves something is followed through those that continue it, whether it is
	// seen closed or not.
	left := event.Outcome{Left: event.Wanted{Created: 3}, Continues: true}
	leaves := func(run string) *event.Outcome { o := left; o.Run = run; return &o }
	r = in.types("reconcile", "live")
	in.takes(r, k, event.ReasonRequested, func() {
		in.phase(k, event.PhaseRecord{Run: "s1", Reason: event.ReasonRequested, Closed: at, Outcome: leaves("s1")})
	})
	r.says("run s1 (Requested): closed, its results are on their way; another one follows for 3 more")
	in.phase(k, event.PhaseRecord{Run: "s2", Reason: event.ReasonContinued, Outcome: leaves("s1"), Parts: []int{2}})
	r.says("run s2 (Continued): 0 of 1")
	in.phase(k, event.PhaseRecord{Run: "s3", Reason: event.ReasonContinued, Outcome: leaves("s2"), Parts: []int{2}})
	r.says("run s2 has closed; another one follows for 3 more")
	in.phase(k, event.PhaseRecord{Run: "s3", Closed: at, Outcome: &event.Outcome{Run: "s3", Created: 7, Before: event.Brought{Runs: 2, Created: 20}}})
	r.ends(service.ExitOK)
	r.says("prod/a/live: run s3: 27 created")
	r.says("in 3 runs")

	r = in.types("reconcile", "live")
	in.takes(r, k, event.ReasonRequested, func() {})
	r.ends(service.ExitError)
	r.says("no run has begun for it")

	r = in.types("reconcile", "live")
	in.takes(r, k, event.ReasonRequested, func() { in.phase(k, event.PhaseRecord{Run: "r4", Reason: event.ReasonRequested, Parts: []int{2}}) })
	r.says("run r4 (Requested): 0 of 1")
	if err := in.phases.Delete(t.Context(), subject.DestinationToken(k)); err != nil {
		t.Fatal(err)
	}
	r.ends(service.ExitError)
	r.says("has left the registry")

	r = in.types("reconcile", "live")
	r.says("waiting for the reconciler to take the request")
	r.stop()
	r.ends(service.ExitError)
	r.says("stopped waiting: asked, waiting for the reconciler to take the request")
}

// writes stores so many writes of a destination, and behind them, as its stream does, a
// checkpoint, and returns where the last write stands.
func (in *idle) writes(k event.DestinationKey, n int) uint64 {
	in.Helper()
	l, err := in.bus.OpenLedger(in.Context(), bus.LedgerConfig{
		Input: subject.Live, Output: subject.Write, OwnerFilter: subject.WriteDestination(k), Checkpoint: subject.WriteCheckpoint(k),
	})
	for i := 0; err == nil && i < n; i++ {
		err = l.Extend(in.Context(), "writing", []bus.Output{{
			Subject: subject.WriteData("0123456789abcdef", k), Header: event.NewHeader(event.KindChange), Data: []byte("a: 1\n"),
		}})
	}
	if err == nil {
		err = l.Extend(in.Context(), "closed", nil)
	}
	if err != nil {
		in.Fatal(err)
	}
	last, err := in.bus.LastSeq(in.Context(), subject.Write)
	if err != nil {
		in.Fatal(err)
	}
	return last - 1
}

// status writes a destination's entry of KS_STATUS.
func (in *idle) status(k event.DestinationKey, st event.Status) {
	in.Helper()
	kv, err := bus.OpenBucket[event.Status](in.Context(), in.bus, subject.BucketStatus)
	if err != nil {
		in.Fatal(err)
	}
	_, rev, err := kv.Newest(in.Context(), subject.DestinationToken(k))
	if err == nil || errors.Is(err, bus.ErrNoMessage) {
		st.V = event.Version
		_, err = kv.Put(in.Context(), subject.DestinationToken(k), st, rev)
	}
	if err != nil {
		in.Fatal(err)
	}
}

// TestLands: a command that has a run carried out ends when what the run wrote is on the
// remote, and not before.
func TestLands(t *testing.T) {
	in, k, at := newIdle(t), named("a", "live"), time.Now()
	in.register(k, "/srv/live.git")
	closed := func(run string, pending *event.Pending) event.PhaseRecord {
		return event.PhaseRecord{Run: run, Closed: at, Outcome: &event.Outcome{Run: run, Created: 2, Pending: pending}}
	}
	for name, tt := range map[string]struct {
		args   []string
		reason string
	}{
		"reconcile": {[]string{"reconcile", "live"}, event.ReasonRequested},
		"approve":   {[]string{"approve", "live", "r1"}, event.ReasonApproved},
	} {
		t.Run(name, func(t *testing.T) {
			in.phase(k, closed("r1", &event.Pending{Run: "r1", Count: 2}))
			in := *in
			in.T = t
			r := in.types(tt.args...)
			var last uint64
			in.takes(r, k, tt.reason, func() {
				last = in.writes(k, 2)
				in.status(k, event.Status{Commit: "before", Position: last - 1, Stalled: &event.Stalled{Reason: "RemoteUnreachable", Message: "no route"}})
				in.phase(k, closed("r2", nil))
			})
			r.says("run r2: 2 created")
			r.says("waiting for the push; the destination is stalled, RemoteUnreachable: no route\n")
			in.status(k, event.Status{Commit: "before", Position: last - 1})
			r.says("waiting for the push\n")
			in.status(k, event.Status{Commit: "after", Position: last})
			r.ends(service.ExitOK)
			r.says("  on the remote: commit after\n")
		})
	}

	in.phase(k, closed("r3", nil))
	r := in.types("reconcile", "live", "--timeout", "5s")
	in.takes(r, k, event.ReasonRequested, func() {
		in.writes(k, 1)
		in.phase(k, closed("r4", nil))
	})
	r.ends(service.ExitError)
	r.says("run r4: 2 created")
	r.says("not done in time (--timeout): waiting for the push")
}

// TestLandsStalled: what the git-writer cannot do is waited for no longer than it takes
// to try it again, whether the run waits for it or what the run wrote.
func TestLandsStalled(t *testing.T) {
	in, k := newIdle(t), named("a", "live")
	in.register(k, "/srv/live.git")
	a, err := newAwaiter(t.Context(), in.bus, event.Destination{Key: k, BranchKey: "0123456789abcdef"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	a.patience = 0
	in.status(k, event.Status{Stalled: &event.Stalled{Reason: "AuthenticationFailed", Message: "401; check the password"}})
	in.phase(k, event.PhaseRecord{Run: "r", Parts: []int{2}})
	const says = "the destination is stalled, AuthenticationFailed: 401; check the password; "
	if _, _, err := a.follow(t.Context(), quest{}); !errors.Is(err, errStalled) || !strings.Contains(err.Error(), says) {
		t.Errorf("following a run it says %v", err)
	}
	last := in.writes(k, 1)
	if _, err := a.lands(t.Context()); !errors.Is(err, errStalled) || !strings.Contains(err.Error(), says) {
		t.Errorf("waiting for the push it says %v", err)
	}
	in.status(k, event.Status{Position: last, Commit: "c", Stalled: &event.Stalled{Reason: "AuthenticationFailed"}})
	if commit, err := a.lands(t.Context()); err != nil || commit != "c" {
		t.Errorf("what is on the remote is at %q, %v", commit, err)
	}
}

// TestAskAgain: a comparison that takes the place of what was asked for does nothing of
// it, so that it is asked for again.
func TestAskAgain(t *testing.T) {
	in, k, at := newIdle(t), named("a", "live"), time.Now()
	in.register(k, "/srv/live.git")
	in.phase(k, event.PhaseRecord{Run: "r1", Closed: at})
	r := in.types("reconcile", "live")
	in.takes(r, k, event.ReasonRequested, func() { in.phase(k, event.PhaseRecord{Run: "c1", Reason: event.ReasonCompare, Closed: at}) })
	r.says("asking again")
	in.takes(r, k, event.ReasonRequested, func() {
		in.phase(k, event.PhaseRecord{Run: "r2", Reason: event.ReasonRequested, Closed: at, Outcome: &event.Outcome{Run: "r2", Equal: 7}})
	})
	r.ends(service.ExitOK)
	r.says("run r2: 0 created, 0 updated, 0 deleted, 7 equal")
}

// TestApproveOvertaken: what was approved is not carried out where it is not what is
// withheld any more, and that is said.
func TestApproveOvertaken(t *testing.T) {
	in, k, at := newIdle(t), named("a", "live"), time.Now()
	in.register(k, "/srv/live.git")
	withheld := func(run, first string) event.PhaseRecord {
		return event.PhaseRecord{Run: run, Closed: at, Outcome: &event.Outcome{Run: run, Pending: &event.Pending{Run: first, Count: 3, Paths: []string{"shop/pods/a.yaml"}}}}
	}
	for name, tt := range map[string]struct {
		comes event.PhaseRecord
		says  string
	}{
		"taken, and nothing came of it": {withheld("r1", "r1"), "no run has begun for it"},
		"withheld again":                {withheld("r2", "r2"), "3 deletions withheld again, under run r2; look at them, and type kubescribe approve --nats " + in.url + " prod/a/live r2"},
		"others since":                  {withheld("r1", "r0"), "not deletions of run r1, but 3 deletions of run r0"},
		"none since":                    {event.PhaseRecord{Run: "r1", Closed: at, Outcome: &event.Outcome{Run: "r1"}}, "nothing of prod/a/live waits"},
	} {
		t.Run(name, func(t *testing.T) {
			in.phase(k, withheld("r1", "r1"))
			in := *in
			in.T = t
			r := in.types("approve", "live", "r1")
			in.takes(r, k, event.ReasonApproved, func() { in.phase(k, tt.comes) })
			r.ends(service.ExitError)
			r.says(tt.says)
			r.says("approving 3 deletions of run r1\n    shop/pods/a.yaml\n    and 2 more\n")
		})
	}
}

// compared says what a comparison of one lane has found: a file is missing, one is of
// no object, and of one the cluster has another content.
func (in *idle) compared(k event.DestinationKey, run, path, git, cluster string) {
	in.Helper()
	const part = 2
	say := func(side subject.Side, end event.End, say func(*bus.SeriesWriter) error) {
		w := in.bus.WriteSeries(subject.Series{Destination: k, Run: run, Attempt: 1, Side: side})
		err := say(w)
		if err == nil {
			_, err = w.Close(in.Context(), end)
		}
		if err != nil {
			in.Fatal(err)
		}
	}
	entries := func(entries ...event.Entry) func(*bus.SeriesWriter) error {
		return func(w *bus.SeriesWriter) error {
			for _, e := range entries {
				if err := w.Entry(in.Context(), e); err != nil {
					return err
				}
			}
			return nil
		}
	}
	hash := func(text string) string { return manifest.Hash([]byte(text)) }
	say(subject.SideRepo, event.End{}, entries(event.Entry{Path: path, Hash: hash(git)}, event.Entry{Path: "shop/zs/gone.yaml", Hash: hash("gone")}))
	say(subject.SideResult(part), event.End{Wanted: 1}, entries(
		event.Entry{Path: path, Hash: hash(cluster), What: event.ResultReconcile},
		event.Entry{Path: "shop/zs/gone.yaml", Hash: hash("gone"), What: event.ResultDelete},
		event.Entry{Path: "shop/zs/new.yaml", Hash: hash("new"), What: event.ResultCreate},
	))
	say(subject.SideContent(part), event.End{}, func(w *bus.SeriesWriter) error {
		id, err := manifest.ParsePath(path)
		if err != nil {
			return err
		}
		return w.Content(in.Context(), event.Change{
			Object: event.Object{APIVersion: "v1", Resource: id.Resource, Kind: "X", Namespace: id.Namespace, Name: id.Name}, Op: event.Update,
			Cluster: k.Cluster, ClusterID: "cluster-uid", UID: "u", ResourceVersion: "1", Hash: hash(cluster), Sanitizer: 1, Time: time.Now(),
			Origin: event.Reconcile, Run: run, Attempt: 1, Path: path, Registry: 1, Manifest: []byte(cluster),
		})
	})
	say(subject.SideRun, event.End{Parts: []int{part}, Dry: true, Outcome: &event.Outcome{Run: run, Created: 1, Updated: 1, Deleted: 1}}, entries())
}

// TestDiff: contents come from the bus and from the remote; where that cannot be read it
// is said, and contents of Secrets are not even asked for.
func TestDiff(t *testing.T) {
	const web, secret = "shop/configmaps/web.yaml", "shop/secrets/web.yaml"
	const rest = "- shop/zs/gone.yaml\n+ shop/zs/new.yaml\nprod/a/live, folder live on main: 1 missing in Git, 1 orphaned, 1 different, 0 equal\n"
	repo := newRepo(t)
	push(t, repo, map[string]string{"live/" + web: "a: 1\n"})
	nowhere := filepath.Join(t.TempDir(), "nowhere.git")
	for name, tt := range map[string]struct {
		repo, path, git string
		tries           int
		code            int
		says            []string
	}{
		"different":               {repo, web, "a: 1\n", 1, 1, []string{"--- git/" + web + "\n+++ cluster/" + web + "\n@@ -1 +1 @@\n-a: 1\n+a: 2\n" + rest}},
		"a secret":                {nowhere, secret, "a: 1\n", 1, 1, []string{"~ " + secret + ": content differs\n" + rest}},
		"a remote that is not":    {nowhere, web, "a: 1\n", 1, 2, []string{nowhere}},
		"changed again and again": {repo, web, "a: 0\n", compareTries, 2, []string{"comparing again: the branch does not hold such a file", "came in between 3 times: try again when prod/a/live is quieter"}},
	} {
		t.Run(name, func(t *testing.T) {
			in, k := newIdle(t), named("a", "live")
			in.register(k, tt.repo)
			in.phase(k, event.PhaseRecord{Run: "r", Closed: time.Now()})
			r := in.types("diff", "live", "--exit-code")
			run := "c"
			for range tt.tries {
				run += "c"
				in.takes(r, k, event.ReasonCompare, func() {
					in.compared(k, run, tt.path, tt.git, "a: 2\n")
					in.phase(k, event.PhaseRecord{Run: run, Reason: event.ReasonCompare, Closed: time.Now()})
				})
			}
			r.ends(tt.code)
			for _, s := range tt.says {
				r.says(s)
			}
			if m, err := in.bus.LastFor(t.Context(), subject.Snap, subject.AllSnap); !errors.Is(err, bus.ErrNoMessage) {
				t.Errorf("it leaves %s, %v", m.Subject, err)
			}
		})
	}
}
