package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
	"github.com/kubescribe/kubescribe/test/integration/natstest"
)

// program is the kubescribe binary, built once.
var program = built("kubescribe")

// built builds the program of a service, the first time that it is wanted, as it is released;
// where envCover is set, it notes there what is reached of it, unless it is killed.
func built(service string) func() (string, error) {
	return sync.OnceValues(func() (string, error) {
		dir, err := programs()
		if err != nil {
			return "", err
		}
		bin := filepath.Join(dir, service)
		args := []string{"build", "-o", bin}
		if os.Getenv(envCover) != "" {
			args = append(args, "-cover", "-covermode=atomic", "-coverpkg=github.com/kubescribe/kubescribe/shared/...,github.com/kubescribe/kubescribe/services/...")
		}
		cmd := exec.Command("go", append(args, "./cmd/"+service)...) //nolint:noctx // for all tests
		cmd.Dir = filepath.Join("..", "..", "services", service)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("building %s: %w\n%s", service, err, out)
		}
		return bin, nil
	})
}

// programs is the directory that they stand in.
var programs = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "kubescribe-test-")
	programDir = dir
	return dir, err
})

// programDir is that directory, "" if no test has needed it.
var programDir string

// envCover names the directory for what is reached of programs. It has a name of its own because
// go test sets GOCOVERDIR, which is what they go by, to one that it removes.
const envCover = "KUBESCRIBE_COVERDIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(envCover); dir != "" {
		_ = os.Setenv("GOCOVERDIR", dir) // fails for names that are none
	}
	code := m.Run()
	if programDir != "" {
		_ = os.RemoveAll(programDir)
	}
	os.Exit(code)
}

// invocation is a command line under way, in a process of its own.
type invocation struct {
	*install
	cmd            *exec.Cmd
	stdout, stderr said
	done           chan struct{}
}

// said is what a process has said so far.
type said struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// types begins a command line on the install's bus.
func (in *install) types(args ...string) *invocation {
	in.Helper()
	return in.typesIn(nil, append(args, in.access()...)...)
}

// access is how a command line reaches the install's bus, as its operator.
func (in *install) access() []string {
	if in.password == "" {
		in.password = natstest.PasswordFile(in.T, subject.UserOperator)
	}
	return []string{"--nats", in.nats.URL(), "--nats-password-file", in.password}
}

func (in *install) typesIn(env []string, args ...string) *invocation {
	in.Helper()
	bin, err := program()
	if err != nil {
		in.Fatal(err)
	}
	i := &invocation{install: in, cmd: exec.CommandContext(in.Context(), bin, args...), done: make(chan struct{})}
	i.cmd.Stdout, i.cmd.Stderr, i.cmd.Env = &i.stdout, &i.stderr, append(os.Environ(), env...)
	if err := i.cmd.Start(); err != nil {
		in.Fatal(err)
	}
	go func() {
		defer close(i.done)
		_ = i.cmd.Wait() // the code says how it ended
	}()
	return i
}

// says waits until it has told of progress.
func (i *invocation) says(line string) {
	i.Helper()
	i.until("it says "+line+": "+i.stderr.String(), func() bool { return strings.Contains(i.stderr.String(), line) })
}

// ends waits for the exit code, and for words on what it prints for a person.
func (i *invocation) ends(code int, words ...string) {
	i.Helper()
	select {
	case <-i.done:
	case <-time.After(patience):
		i.Fatalf("it does not end: %s%s", i.stdout.String(), i.stderr.String())
	}
	if got := i.cmd.ProcessState.ExitCode(); got != code {
		i.Errorf("%v ends with %d, want %d:\n%s%s", i.cmd.Args[1:], got, code, i.stdout.String(), i.stderr.String())
	}
	text := i.stdout.String()
	if code != 0 {
		text = i.stderr.String()
	}
	for _, w := range words {
		if !strings.Contains(text, w) {
			i.Errorf("%v does not say %q:\n%s%s", i.cmd.Args[1:], w, i.stdout.String(), i.stderr.String())
		}
	}
}

// TestCommandReconcile: it waits for the run that it has asked for, tells of each step,
// and what was found.
func TestCommandReconcile(t *testing.T) {
	t.Parallel()
	in := newInstall(t)
	in.reconciler()
	p := in.play("d", nil)
	before := p.live(time.Now())

	c := in.types("reconcile", "d")
	rec := p.begins(event.ReasonRequested, before.Run)
	c.says("run " + rec.Run + " (Requested): 0 of 2 lanes answered")
	p.takes(subject.CtlClusterState, rec, rec.Parts...)
	p.says(rec, subject.SideCluster(deployLane), event.End{}, event.Entry{Path: deploymentFile("other"), Hash: "3", Version: 13})
	c.says("1 of 2 lanes answered")
	p.says(rec, subject.SideCluster(mapLane), event.End{},
		event.Entry{Path: mapFile("new"), Hash: "1", Version: 11}, event.Entry{Path: mapFile("same"), Hash: "2", Version: 12})
	c.says("all 2 lanes answered, waiting for the repository")
	p.says(rec, subject.SideRepo, event.End{},
		event.Entry{Path: mapFile("same"), Hash: "2"}, event.Entry{Path: deploymentFile("gone"), Hash: "4"},
		event.Entry{Path: deploymentFile("other"), Hash: "5"}, event.Entry{Path: "notes.yaml", What: event.Foreign})
	c.says("compared, contents of 0 of 2 lanes are there")
	p.says(rec, subject.SideContent(mapLane), event.End{})
	c.says("compared, contents of 1 of 2 lanes are there")
	p.says(rec, subject.SideContent(deployLane), event.End{})
	c.says("results are being written")
	p.closes(rec, time.Now())
	c.ends(0, "test/default/d: run "+rec.Run+": 1 created, 1 updated, 1 deleted, 1 equal\n", "left alone: 1 (files", "    notes.yaml\n")
	c.says("closed, its results are on their way")
}

// TestCommandReconcileUnderWay: a run that is under way is not the one that was asked
// for, and a request of somebody else is not either.
func TestCommandReconcileUnderWay(t *testing.T) {
	long(t)
	t.Parallel()
	in := newInstall(t)
	r := in.reconciler()
	p := in.play("d", nil)
	before := p.live(time.Now())
	p.asks(event.ReasonTypeAppeared, "")
	first := p.begins(event.ReasonTypeAppeared, before.Run)

	c := in.types("reconcile", "default/d")
	c.says("run " + first.Run + " (TypeAppeared): 0 of 2 lanes answered; the run that was asked for follows it")
	p.goesThrough(first, time.Now())
	second := p.begins(event.ReasonRequested, before.Run, first.Run)
	p.goesThrough(second, time.Now())
	c.ends(0, "run "+second.Run+":")

	r.stop()
	q := event.Request{V: event.Version, Kind: event.RequestRun, Destination: key("d"), Reason: event.ReasonTypeAppeared}
	if err := in.bus.Ask(t.Context(), subject.CtlRun(key("d")), q); err != nil {
		t.Fatal(err)
	}
	c = in.types("reconcile", "test/default/d")
	c.says("another request is waiting")
	in.reconciler()
	third := p.begins(event.ReasonTypeAppeared, before.Run, first.Run, second.Run)
	c.says("run " + third.Run + " (TypeAppeared): 0 of 2 lanes answered; the run that was asked for follows it")
	in.restartNATS() // the command waits for it, too
	p.goesThrough(third, time.Now())
	fourth := p.begins(event.ReasonRequested, before.Run, first.Run, second.Run, third.Run)
	p.goesThrough(fourth, time.Now())
	c.ends(0, "run "+fourth.Run+":")
}

// TestCommandReconcileReplaced: a run that takes the place of the one asked for is
// followed instead; one that wrote no results is not the end.
func TestCommandReconcileReplaced(t *testing.T) {
	t.Parallel()
	in := newInstall(t)
	in.reconciler()
	p := in.play("d", nil)
	before := p.live(time.Now())
	c := in.types("reconcile", "d")
	asked := p.begins(event.ReasonRequested, before.Run)
	c.says("run " + asked.Run + " (Requested)")
	p.registerAs(func(d *event.Destination) { d.Rules = []event.Rule{everything} })
	changed := p.begins(event.ReasonSpecChanged, before.Run, asked.Run)
	c.says("run " + asked.Run + " was replaced by another")
	c.says("run " + changed.Run + " (SpecChanged)")
	p.asks(event.ReasonOvertaken, "") // as the stream does, before it closes the run
	p.compares(changed)
	p.overtakes(changed, time.Now())
	again := p.begins(event.ReasonOvertaken, before.Run, asked.Run, changed.Run)
	c.says("run " + again.Run + " (Overtaken)")
	p.goesThrough(again, time.Now())
	c.ends(0, "run "+again.Run+":")
}

// TestCommandReconcileOvertaken: a run that wrote no results is not the end, and the next
// one is, whatever its reason: the request for it may stand behind another.
func TestCommandReconcileOvertaken(t *testing.T) {
	t.Parallel()
	in := newInstall(t)
	r := in.reconciler()
	p := in.play("d", nil)
	before := p.live(time.Now())
	c := in.types("reconcile", "d")
	asked := p.begins(event.ReasonRequested, before.Run)
	p.compares(asked)
	p.end(asked, subject.SideRun)
	in.until("the request is acknowledged", func() bool { return len(in.subjects(subject.Ctl, subject.CtlRun(key("d")))) == 0 })
	r.stop()
	for _, reason := range []string{event.ReasonTypeAppeared, event.ReasonOvertaken} {
		q := event.Request{V: event.Version, Kind: event.RequestRun, Destination: key("d"), Reason: reason}
		if err := in.bus.Ask(t.Context(), subject.CtlRun(key("d")), q); err != nil {
			t.Fatal(err)
		}
	}
	p.overtakes(asked, time.Now())
	c.says("run " + asked.Run + " (Requested): closed without results")
	in.reconciler()
	other := p.begins(event.ReasonTypeAppeared, before.Run, asked.Run)
	c.says("run " + other.Run + " (TypeAppeared)")
	p.goesThrough(other, time.Now())
	c.ends(0, "run "+other.Run+":")
}

// TestCommandNames: what does not name one destination is refused, with those there
// are, and asks for nothing.
func TestCommandNames(t *testing.T) {
	t.Parallel()
	in := newInstall(t)
	in.types("reconcile", "d").ends(1, `there is no destination "d": none is registered`)
	in.play("d", nil)
	p := in.play("e", nil)
	d := event.Destination{V: event.Version, Key: event.DestinationKey{Cluster: "test", Namespace: "other", Name: "d"}, BranchKey: branch, Branch: "main"}
	if _, err := mustBucket[event.Destination](in, subject.BucketDestination).Put(t.Context(), subject.DestinationToken(d.Key), d, 0); err != nil {
		t.Fatal(err)
	}
	in.types("reconcile", "f").ends(1, `there is no destination "f"`, "\n  test/default/d\n  test/default/e\n  test/other/d")
	in.types("reconcile", "d").ends(1, "say which", "\n  test/default/d\n  test/other/d")
	in.types("approve", "f", "run").ends(1, `there is no destination "f"`, "test/default/e")
	in.types("approve", "d", "run").ends(1, "say which")
	if got := in.subjects(subject.Ctl, subject.AllCtl); len(got) != 0 {
		t.Errorf("it was asked for %q", got)
	}
	// One that nobody has reconciled yet is asked for all the same.
	c := in.types("reconcile", "e")
	c.says("asking for a run")
	in.reconciler()
	rec := p.begins(event.ReasonNewDestination)
	p.goesThrough(rec, time.Now())
	c.until("it ends, or another run follows", func() bool {
		select {
		case <-c.done:
			return true
		default:
			return p.phase("e").Run != rec.Run
		}
	})
	if now := p.phase("e"); now.Run != rec.Run {
		p.goesThrough(now, time.Now())
	}
	c.ends(0, "0 created")
}

// TestCommandTimeout: it says where things stand.
func TestCommandTimeout(t *testing.T) {
	t.Parallel()
	in := newInstall(t)
	p := in.play("d", nil)
	r := in.reconciler()
	before := p.live(time.Now())
	r.stop()
	in.types("reconcile", "d", "--timeout", "8s").ends(1, "not done in time", "waiting for the reconciler to take the request", "kubescribe get")
	in.reconciler()
	rec := p.begins(event.ReasonRequested, before.Run)
	if _, err := mustBucket[event.Status](in, subject.BucketStatus).Put(t.Context(), subject.DestinationToken(key("d")),
		event.Status{V: event.Version, Stalled: &event.Stalled{Reason: event.StalledFolderNotOurs, Message: "it is team x's"}}, 0); err != nil {
		t.Fatal(err)
	}
	in.types("reconcile", "d", "--timeout", "8s").ends(1, "not done in time", "run "+rec.Run+" (Requested): 0 of 2 lanes answered", "FolderNotOurs", "it is team x's")
	// Somebody who stops it has it stop waiting.
	c := in.types("reconcile", "d")
	c.says("0 of 2 lanes answered")
	if err := c.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	c.ends(1, "stopped waiting")
}

// TestCommandApprove: what is approved is carried out, and nothing else.
func TestCommandApprove(t *testing.T) {
	t.Parallel()
	in := newInstall(t)
	in.reconciler()
	p := in.play("d", func(d *event.Destination) { d.Prune = event.Prune{Mode: event.PruneAlways} })
	before := p.live(time.Now())
	in.types("approve", "d", "r").ends(1, "nothing of test/default/d waits to be approved")

	// goes plays a run that finds files of no object.
	goes := func(rec event.PhaseRecord, orphans ...string) {
		t.Helper()
		p.takes(subject.CtlClusterState, rec, rec.Parts...)
		for _, part := range rec.Parts {
			p.says(rec, subject.SideCluster(part), event.End{})
		}
		var entries []event.Entry
		for _, o := range orphans {
			entries = append(entries, event.Entry{Path: mapFile(o), Hash: "1"})
		}
		p.says(rec, subject.SideRepo, event.End{}, entries...)
		p.closes(rec, time.Now())
	}
	c := in.types("reconcile", "d")
	first := p.begins(event.ReasonRequested, before.Run)
	goes(first, "a", "b")
	c.ends(0, "withheld: 2 deletions", "    "+mapFile("a")+"\n    "+mapFile("b")+"\n", "kubescribe approve "+strings.Join(in.access(), " ")+" test/default/d "+first.Run+"\n")
	in.types("get").ends(0, "PrunePending: 2 ("+first.Run+")")
	in.types("approve", "d", "other").ends(1, "2 deletions of run "+first.Run)

	// They have changed since.
	c = in.types("approve", "d", first.Run)
	second := p.begins(event.ReasonApproved, before.Run, first.Run)
	if second.Approved == "" {
		t.Errorf("the run is %+v", second)
	}
	goes(second, "a", "b", "c")
	c.ends(1, "3 deletions withheld again, under run "+second.Run, "kubescribe approve "+strings.Join(in.access(), " ")+" test/default/d "+second.Run)
	in.types("approve", "d", first.Run).ends(1, "3 deletions of run "+second.Run)

	c = in.types("approve", "d", second.Run)
	third := p.begins(event.ReasonApproved, before.Run, first.Run, second.Run)
	goes(third, "a", "b", "c")
	c.ends(0, "approving 3 deletions of run "+second.Run+"\n    "+mapFile("a"), "run "+third.Run+": 0 created, 0 updated, 3 deleted")
	in.types("approve", "d", second.Run).ends(1, "nothing of test/default/d waits")
}

// TestCommandGet: a row for each destination, whatever is known of it, by the address
// in a data directory too.
func TestCommandGet(t *testing.T) {
	t.Parallel()
	in := newInstall(t)
	in.types("get").ends(0)
	in.reconciler()
	p := in.play("d", nil)
	rec := p.live(time.Now())
	dir := filepath.Join(t.TempDir(), "kubescribe", "cluster-test")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "nats.json"), []byte(`{"url": "`+in.nats.URL()+`"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	in.typesIn(nil, "get", "destinations", "--data-dir", dir).ends(0, "test/default/d", "LIVE_PROCESSING", "NewDestination closed", "d on main")
	c := in.typesIn([]string{"XDG_DATA_HOME=" + filepath.Dir(filepath.Dir(dir))}, "get", "-o", "json")
	c.ends(0)
	var all []struct {
		Destination event.Destination
		Phase       event.PhaseRecord
		Status      *event.Status
	}
	if err := json.Unmarshal([]byte(c.stdout.String()), &all); err != nil {
		t.Fatal(err)
	}
	if len(all) != 1 || all[0].Destination.Key != key("d") || all[0].Phase.Run != rec.Run || all[0].Phase.Outcome == nil || all[0].Status != nil {
		t.Errorf("it prints %s", c.stdout.String())
	}
	in.unregister("d")
	c = in.types("get", "-o", "json")
	if c.ends(0); strings.TrimSpace(c.stdout.String()) != "[]" {
		t.Errorf("without any it prints %s", c.stdout.String())
	}
}
