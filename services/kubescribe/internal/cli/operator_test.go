package cli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/service"
	"github.com/kubescribe/kubescribe/shared/subject"
)

func TestResolve(t *testing.T) {
	known := []event.DestinationKey{
		{Cluster: "prod", Namespace: "gitops", Name: "live"},
		{Cluster: "prod", Namespace: "gitops", Name: "shop"},
		{Cluster: "prod", Namespace: "team", Name: "live"},
		{Cluster: "test", Namespace: "team", Name: "live"},
	}
	for _, tt := range []struct {
		meant, want string
		says        []string
	}{
		{meant: "shop", want: "prod/gitops/shop"},
		{meant: "gitops/live", want: "prod/gitops/live"},
		{meant: "test/team/live", want: "test/team/live"},
		{meant: "live", says: []string{"say which", "\n  prod/gitops/live\n  prod/team/live\n  test/team/live"}},
		{meant: "team/live", says: []string{"prod/team/live", "test/team/live"}},
		{meant: "hop", says: []string{`"hop"`, "prod/gitops/live", "prod/gitops/shop", "prod/team/live", "test/team/live"}},
		{meant: "other/live", says: []string{`"other/live"`, "prod/gitops/live"}},
		{meant: "a/prod/gitops/shop", says: []string{`"a/prod/gitops/shop"`}},
		{meant: "", says: []string{`""`}},
		{meant: "/shop", says: []string{`"/shop"`}},
	} {
		got, err := resolve(tt.meant, known)
		if tt.want != "" {
			if err != nil || got.String() != tt.want {
				t.Errorf("%q is %s, %v", tt.meant, got, err)
			}
			continue
		}
		for _, says := range tt.says {
			if err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%q is %s, %v; it does not say %q", tt.meant, got, err, says)
			}
		}
	}
	if _, err := resolve("live", nil); err == nil || !strings.Contains(err.Error(), "none is registered") {
		t.Errorf("without any: %v", err)
	}
}

func TestTable(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	k := event.DestinationKey{Cluster: "prod", Namespace: "gitops", Name: "live"}
	all := []shown{
		{
			Destination: event.Destination{Key: k, Branch: "main", BaseFolder: "live"},
			Phase: &event.PhaseRecord{
				Phase: event.LiveProcessing, Run: "r2", Reason: event.ReasonDriftCheck, Closed: now.Add(-5 * time.Minute), Counts: event.Counts{Held: 7},
				Outcome: &event.Outcome{Pending: &event.Pending{Run: "r1", Count: 12}, Incomplete: []string{"*.metrics.k8s.io", "pods"}},
			},
			Status: &event.Status{Commit: "0123456789abcdef", Pushed: now.Add(-90 * time.Second), Stalled: &event.Stalled{Reason: "FolderNotOurs"}},
			Lag: &event.Lag{
				Stream: event.Waiting{Messages: 7, Since: now.Add(-2 * time.Minute)}, Writer: event.Waiting{Messages: 5, Since: now.Add(-5 * time.Minute)},
			},
			Letters: 3,
		},
		{Destination: event.Destination{Key: event.DestinationKey{Cluster: "prod", Namespace: "gitops", Name: "new"}, Branch: "main"}},
		{
			Destination: event.Destination{Key: event.DestinationKey{Cluster: "prod", Namespace: "gitops", Name: "run"}, Branch: "b", BaseFolder: "x/y"},
			Phase:       &event.PhaseRecord{Phase: event.StartupReconcile, Run: "r3", Reason: event.ReasonWatchGap, Since: now.Add(-3 * time.Hour)}, Status: &event.Status{},
		},
		{
			Destination: event.Destination{Key: event.DestinationKey{Cluster: "prod", Namespace: "gitops", Name: "cut"}, Branch: "b"},
			Phase:       &event.PhaseRecord{Phase: event.Parked, Run: "r4", Reason: event.ReasonDriftCheck, Closed: now.Add(-time.Hour), Gap: &event.Gap{Missing: 12}},
		},
		{
			Destination: event.Destination{Key: event.DestinationKey{Cluster: "prod", Namespace: "gitops", Name: "vast"}, Branch: "b"},
			Phase: &event.PhaseRecord{
				Phase: event.StartupReconcile, Run: "r4", Reason: event.ReasonContinued, Since: now.Add(-time.Minute),
				Outcome: &event.Outcome{Run: "r3", Left: event.Wanted{Created: 90_000, Updated: 1}, Continues: true},
			},
		},
		{
			Destination: event.Destination{Key: event.DestinationKey{Cluster: "prod", Namespace: "gitops", Name: "dry"}, Branch: "b", DryRun: true},
			Status:      &event.Status{Commit: "0123456789abcdef", DryRun: &event.DryRun{Since: now.Add(-3 * time.Hour), Commits: 1, Files: 12}},
		},
	}
	var b strings.Builder
	if err := table(&b, now, all); err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{
		"NAME               PHASE                 RUN                                       FOLDER/BRANCH   LAST COMMIT                               WAITING     HELD   PENDING                 STALLED         INCOMPLETE              DEAD LETTERS",
		"prod/gitops/live   LIVE_PROCESSING       DriftCheck closed 5m ago                  live on main    01234567 90s ago                          12 for 5m   7      PrunePending: 12 (r1)   FolderNotOurs   *.metrics.k8s.io,pods   3",
		"prod/gitops/new    -                     -                                         . on main       -                                         0           -      -                       -               -                       -",
		"prod/gitops/run    STARTUP_RECONCILE     WatchGap under way for 3h                 x/y on b        -                                         0           0      -                       -               -                       -",
		"prod/gitops/cut    PARKED (12 missing)   DriftCheck closed 60m ago                 . on b          -                                         0           0      -                       -               -                       -",
		"prod/gitops/vast   STARTUP_RECONCILE     Continued under way for 60s, 90001 left   . on b          -                                         0           0      -                       -               -                       -",
		"prod/gitops/dry    -                     -                                         . on b          DryRun: 1 commit, 12 files since 3h ago   0           -      -                       -               -                       -",
		"",
	}, "\n")
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}

func TestFew(t *testing.T) {
	for in, want := range map[string]string{"a": "a", "a b c": "a,b,c", "a b c d": "a,b,c + 1 more...", "a b c d e f": "a,b,c + 3 more..."} {
		if got := few(strings.Fields(in)); got != want {
			t.Errorf("%s is shown as %q, want %q", in, got, want)
		}
	}
}

func TestAgo(t *testing.T) {
	now := time.Now()
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 0: "0s", 119 * time.Second: "119s", 2 * time.Minute: "2m", 119 * time.Minute: "119m", 2 * time.Hour: "2h", 47 * time.Hour: "47h", 49 * time.Hour: "2d",
	} {
		if got := ago(now, now.Add(-d)); got != want {
			t.Errorf("%s ago is %s, want %s", d, got, want)
		}
	}
}

// TestProgress: a line for each thing that happens in a run, and which sides are
// looked for.
func TestProgress(t *testing.T) {
	running := event.PhaseRecord{Run: "r", Attempt: 1, Reason: event.ReasonRequested, Parts: []int{2, 5}}
	again, closed, overtaken, compared := running, running, running, running
	again.Attempt = 3
	overtaken.Closed = time.Now()
	closed.Closed, closed.Settled = overtaken.Closed, overtaken.Closed
	compared.Closed, compared.Reason = overtaken.Closed, event.ReasonCompare
	left := overtaken
	left.Outcome = &event.Outcome{Run: "r", Left: event.Wanted{Created: 7}, Continues: true}
	overtakenSince := left // behind a run that has left something
	overtakenSince.Outcome = &event.Outcome{Run: "q", Continues: true}
	ends := func(sides ...subject.Side) map[subject.Side]event.End {
		m := map[subject.Side]event.End{}
		for _, s := range sides {
			m[s] = event.End{}
		}
		return m
	}
	states := []subject.Side{"cluster-2", "cluster-5", "repo"}
	wanted := ends(append(states, "result-2")...)
	wanted["result-5"] = event.End{Wanted: 3}
	results := []subject.Side{"run", "result-0", "result-1", "result-2", "result-3", "result-4", "result-5", "result-6", "result-7"}
	without := func(all []subject.Side, some ...subject.Side) []subject.Side {
		return slices.DeleteFunc(slices.Clone(all), func(s subject.Side) bool { return slices.Contains(some, s) })
	}
	for _, tt := range []struct {
		stand stand
		says  string
		next  []subject.Side
	}{
		{stand{record: running}, "run r (Requested): 0 of 2 lanes answered", []subject.Side{"run", "cluster-2", "cluster-5"}},
		{stand{record: running, ends: ends("cluster-5")}, "run r (Requested): 1 of 2 lanes answered", []subject.Side{"run", "cluster-2"}},
		{stand{record: again, ends: ends("cluster-2", "cluster-5")}, "run r (Requested), attempt 3: all 2 lanes answered, waiting for the repository", []subject.Side{"run", "repo"}},
		{stand{record: running, ends: ends(states...)}, "run r (Requested): the repository answered, comparing", results},
		{stand{record: running, ends: ends(append(states, "result-2")...)}, "run r (Requested): compared", without(results, "result-2")},
		{stand{record: running, ends: wanted}, "run r (Requested): compared, contents of 0 of 1 lanes are there", append(without(results, "result-2", "result-5"), "content-5")},
		{stand{record: running, ends: ends(append(states, "run")...)}, "run r (Requested): results are being written", without(results, "run")},
		{stand{record: closed}, "run r (Requested): closed, its results are on their way", []subject.Side{"run", "cluster-2", "cluster-5"}},
		{stand{record: overtaken}, "run r (Requested): closed without results, because more changed meanwhile than is remembered; another one follows", nil},
		{stand{record: left}, "run r (Requested): closed, its results are on their way; another one follows for 7 more", nil},
		{stand{record: overtakenSince}, "run r (Requested): closed without results, because more changed meanwhile than is remembered; another one follows", nil},
		{stand{record: compared}, "run r (Comparison): closed", nil},
		{stand{record: running, behind: true}, "run r (Requested): 0 of 2 lanes answered; the run that was asked for follows it", nil},
		{
			stand{record: running, status: event.Status{Stalled: &event.Stalled{Reason: "FolderNotOurs", Message: "somebody's"}}},
			"run r (Requested): 0 of 2 lanes answered; the destination is stalled, FolderNotOurs: somebody's", nil,
		},
	} {
		if got := tt.stand.line(); got != tt.says {
			t.Errorf("it says %q, want %q", got, tt.says)
		}
		if got := tt.stand.next(); tt.next != nil && !slices.Equal(got, tt.next) {
			t.Errorf("%s: it looks for %v, want %v", tt.says, got, tt.next)
		}
	}
}

func TestTold(t *testing.T) {
	k := event.DestinationKey{Cluster: "prod", Namespace: "gitops", Name: "live"}
	for name, tt := range map[string]struct {
		rec  event.PhaseRecord
		want string
	}{
		"nothing else": {
			event.PhaseRecord{Run: "r", Outcome: &event.Outcome{Run: "r", Created: 1, Updated: 2, Deleted: 3, Equal: 4}},
			"prod/gitops/live: run r: 1 created, 2 updated, 3 deleted, 4 equal\n",
		},
		"all": {event.PhaseRecord{Run: "r", Overrun: 2, Outcome: &event.Outcome{
			Run: "r", Kept: 1, ForeignCount: 3, Foreign: []string{"a.yaml", "b\x1b[2J.yaml"}, Incomplete: []string{"pods", "*.x.io"},
			Pending: &event.Pending{Run: "q", Count: 2, Paths: []string{"shop/pods/a.yaml"}},
		}}, "prod/gitops/live: run r: 0 created, 0 updated, 0 deleted, 0 equal\n" +
			"  kept: 1 file of no object (prune.mode keeps them, or their type is not known wholly)\n" +
			"  too late: 2 results, of objects of which something newer had passed\n" +
			"  withheld: 2 deletions, more than prune allows; to approve: TYPE THIS\n    shop/pods/a.yaml\n    and 1 more\n" +
			"  left alone: 3 (files that hold resources and are not at their path, or hold several)\n    a.yaml\n    \"b\\x1b[2J.yaml\"\n    and 1 more\n" +
			"  incomplete: types that could not be listed, nothing of theirs was taken for absent: pods, *.x.io\n"},
		"in several runs": {event.PhaseRecord{Run: "r", Outcome: &event.Outcome{
			Run: "r", Created: 1, Updated: 2, Deleted: 0, Equal: 30, Before: event.Brought{Runs: 2, Created: 10, Updated: 20, Deleted: 3},
		}}, "prod/gitops/live: run r: 11 created, 22 updated, 3 deleted, 30 equal\n" +
			"  in 3 runs: there was no room for all contents in one\n"},
		"in vain": {
			event.PhaseRecord{Run: "r", Outcome: &event.Outcome{Run: "r", Created: 5, Left: event.Wanted{Created: 3, Updated: 1}}},
			"prod/gitops/live: run r: 5 created, 0 updated, 0 deleted, 0 equal\n" +
				"  left out: 4 objects, after runs have brought twice as much as there are objects: something undoes it, or keeps it from the folder\n",
		},
		"unknown": {event.PhaseRecord{Run: "r", Reason: event.ReasonRequested}, "prod/gitops/live: run r (Requested) has closed; what it found is not known any more\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := told(event.Destination{Key: k}, tt.rec, "TYPE THIS"); got != tt.want {
				t.Errorf("it tells\n%swant\n%s", got, tt.want)
			}
		})
	}
}

func TestToldOfDryRun(t *testing.T) {
	d := event.Destination{Key: event.DestinationKey{Cluster: "prod", Namespace: "gitops", Name: "live"}, DryRun: true}
	rec := event.PhaseRecord{Run: "r", Outcome: &event.Outcome{Run: "r", Created: 5, Left: event.Wanted{Created: 3, Updated: 1}}}
	want := "prod/gitops/live: run r: 5 created, 0 updated, 0 deleted, 0 equal\n" +
		"  nothing of it is pushed (spec.mode: DryRun); kubescribe diff shows what Git lacks\n" +
		"  left out: 4 objects, for whose contents there was no room\n"
	if got := told(d, rec, "TYPE THIS"); got != want {
		t.Errorf("it tells\n%swant\n%s", got, want)
	}
}

func TestShell(t *testing.T) {
	for word, want := range map[string]string{"prod/gitops/live": "prod/gitops/live", "a b": "'a b'", "it's": `'it'\''s'`, "arn:aws:x_1": "arn:aws:x_1", "$x": "'$x'"} {
		if got := shell(word); got != want {
			t.Errorf("%q is typed %s, want %s", word, got, want)
		}
	}
}

func TestOperatorUsageErrors(t *testing.T) {
	for name, tt := range map[string]struct {
		args []string
		says []string
	}{
		"get of two":             {[]string{"get", "live", "shop"}, []string{"shop", "kubescribe get --help"}},
		"get of two, and a kind": {[]string{"get", "destinations", "live", "shop"}, []string{"shop"}},
		"unknown format":         {[]string{"get", "-o", "yaml"}, []string{"--output", "yaml"}},
		"both":                   {[]string{"get", "--nats", "nats://127.0.0.1:1", "--data-dir", "/tmp/x"}, []string{"--nats", "--data-dir"}},
		"credentials alone":      {[]string{"get", "--nats-creds", "/tmp/x"}, []string{"--nats-creds", "--nats"}},
		"no such credentials":    {[]string{"get", "--nats", "nats://127.0.0.1:1", "--nats-creds", "/nowhere"}, []string{"--nats-creds", "/nowhere"}},
		"password in the URL":    {[]string{"get", "--nats", "nats://joe:s3cret@127.0.0.1:1"}, []string{"--nats"}},
		"empty URL":              {[]string{"reconcile", "live", "--nats", ""}, []string{"--nats is empty"}},
		"reconcile what":         {[]string{"reconcile"}, []string{"DESTINATION is missing", "kubescribe reconcile DESTINATION"}},
		"reconcile two":          {[]string{"reconcile", "live", "shop"}, []string{"shop"}},
		"reconcile nothing":      {[]string{"reconcile", ""}, []string{"DESTINATION is missing"}},
		"timeout":                {[]string{"reconcile", "live", "--timeout", "-1s"}, []string{"--timeout"}},
		"approve what":           {[]string{"approve", "live"}, []string{"RUN is missing", "kubescribe approve DESTINATION RUN"}},
		"diff what":              {[]string{"diff"}, []string{"DESTINATION is missing"}},
		"diff with exit code":    {[]string{"diff", "--exit-code", "live", "shop"}, []string{"shop"}},
		"approve nothing at all": {[]string{"approve"}, []string{"DESTINATION is missing"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := command(t, tt.args...)
			if r.code != service.ExitUsage || r.stdout != "" || strings.Contains(r.stderr, "s3cret") {
				t.Errorf("%+v", r)
			}
			for _, want := range tt.says {
				if !strings.Contains(r.stderr, want) {
					t.Errorf("%q does not name %s", r.stderr, want)
				}
			}
		})
	}
}

// TestReach: a command that finds no bus says where it looked, and what helps.
func TestReach(t *testing.T) {
	empty, stopped := t.TempDir(), t.TempDir()
	access := `{"url": "nats://127.0.0.1:1", "user": "kubescribe", "password": "s3cret"}`
	if err := os.WriteFile(filepath.Join(stopped, "nats.json"), []byte(access), 0o600); err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	for _, name := range []string{"cluster-a", "cluster-b"} {
		dir := filepath.Join(home, "kubescribe", name)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "nats.json"), []byte(access), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, tt := range map[string]struct {
		args []string
		home string
		code int
		says []string
	}{
		"no nats.json":       {[]string{"get", "--data-dir", empty}, "", 1, []string{empty, "nats.json", "is kubescribe running with --data-dir " + empty}},
		"nothing answers":    {[]string{"get", "--data-dir", stopped}, "", 1, []string{"127.0.0.1:1", "is kubescribe running with --data-dir " + stopped}},
		"no server":          {[]string{"get", "--nats", "nats://127.0.0.1:1"}, "", 1, []string{"nats://127.0.0.1:1", "(context deadline exceeded); does a NATS server run there?\n"}},
		"no data directory":  {[]string{"get"}, empty, 1, []string{empty, "--data-dir", "--nats"}},
		"two of them":        {[]string{"get"}, home, 1, []string{"cluster-a", "cluster-b", "--data-dir"}},
		"no home to look in": {[]string{"get"}, "", 2, []string{"--data-dir"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr strings.Builder
			code := Main(t.Context(), Env{Args: tt.args, Stdout: &stdout, Stderr: &stderr, Getenv: func(name string) string {
				return map[string]string{"XDG_DATA_HOME": tt.home}[name]
			}})
			if code != tt.code || stdout.Len() > 0 || strings.Contains(stderr.String(), "s3cret") {
				t.Errorf("it ends with %d: %s%s", code, stdout.String(), stderr.String())
			}
			for _, want := range tt.says {
				if !strings.Contains(stderr.String(), want) {
					t.Errorf("%q does not name %s", stderr.String(), want)
				}
			}
		})
	}
}
