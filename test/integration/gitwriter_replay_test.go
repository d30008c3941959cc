package integration

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	gitwriter "github.com/kubescribe/kubescribe/services/git-writer"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/gittest"
	"github.com/kubescribe/kubescribe/shared/outcome"
	"github.com/kubescribe/kubescribe/shared/subject"
	"github.com/kubescribe/kubescribe/test/integration/natstest"
)

// replayed is a scratch repository, and how it came about.
type replayed struct {
	*stand
	dir      string
	commits  []gitwriter.Replayed
	outcomes map[outcome.Outcome]int
}

// replay writes what KS_WRITE holds of a destination into a scratch repository.
func (s *stand) replay(d event.Destination, creds gitwriter.Credentials) (*replayed, error) {
	s.Helper()
	r := &replayed{stand: s, dir: filepath.Join(s.TempDir(), "scratch")}
	recorded := s.bus.Range(s.Context(), subject.Write, subject.WriteData(d.BranchKey, d.Key), 1, math.MaxUint64)
	var err error
	r.outcomes, err = gitwriter.Replay(s.Context(), s.bus, creds, s.registered(d), r.dir, recorded, func(c gitwriter.Replayed) error {
		r.commits = append(r.commits, c)
		return nil
	}, slog.New(slog.DiscardHandler))
	return r, err
}

// registered is a destination as it stands in the registry.
func (s *stand) registered(d event.Destination) bus.Registered {
	s.Helper()
	kv, err := bus.OpenBucket[event.Destination](s.Context(), s.bus, subject.BucketDestination)
	if err != nil {
		s.Fatal(err)
	}
	now, rev, err := kv.Get(s.Context(), subject.DestinationToken(d.Key))
	if err != nil {
		s.Fatal(err)
	}
	return bus.Registered{Destination: now, Revision: rev}
}

// blobs is what the commits about a destination did to which files, and their contents,
// oldest first.
func (s *stand) blobs(dir string, d event.Destination) []string {
	s.Helper()
	out, err := gittest.Git(dir, "log", "--reverse", "--raw", "--no-abbrev", "--root", "--format=%s", "--grep=^Kubescribe-Destination: "+d.Key.String()+"$", "main")
	if err != nil {
		s.Fatalf("git log: %v", err)
	}
	return strings.Split(strings.TrimSpace(out), "\n")
}

// standing is what stands on the bus: of each stream what it holds and has ever held, and
// who reads it.
func standing(t *testing.T, nats *natstest.Server) map[string]string {
	t.Helper()
	js, err := jetstream.New(nats.NATS(t))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	streams := js.ListStreams(t.Context())
	for info := range streams.Info() {
		st, err := js.Stream(t.Context(), info.Config.Name)
		if err != nil {
			t.Fatal(err)
		}
		info.State.Consumers = 0 // below
		all[info.Config.Name] = fmt.Sprintf("%+v %+v", info.Config, info.State)
		consumers := st.ListConsumers(t.Context())
		for c := range consumers.Info() {
			all[info.Config.Name+" "+c.Name] = fmt.Sprintf("%+v %d %+v %+v", c.Config, c.NumPending, c.Delivered, c.AckFloor)
		}
		if err := consumers.Err(); err != nil {
			t.Fatal(err)
		}
	}
	if err := streams.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// untouched does something that is to leave everything on the bus as it is, and to ask
// nothing of the Git server.
func (s *stand) untouched(do func()) {
	s.Helper()
	s.gate.set(func(_ http.Handler, _ http.ResponseWriter, r *http.Request) bool {
		s.Errorf("%s %s is asked of the remote", r.Method, r.URL.Path)
		return false
	})
	defer s.gate.set(nil)
	before, refs := standing(s.T, s.nats), s.git("for-each-ref")
	do()
	s.until("nobody reads any more", func() bool { return len(standing(s.T, s.nats)) <= len(before) })
	after := standing(s.T, s.nats)
	for name, now := range after {
		if before[name] != now {
			s.Errorf("%s is\n%s\nand was\n%s", name, now, before[name])
		}
	}
	if len(after) != len(before) {
		s.Errorf("%d streams and consumers are there, and %d were", len(after), len(before))
	}
	if after := s.git("for-each-ref"); after != refs {
		s.Errorf("the remote has %s, and had %s", after, refs)
	}
}

// TestGitWriterReplay: what was recorded of a destination makes the very commits again,
// whatever is registered beside it, and touches nothing.
func TestGitWriterReplay(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	d, beside := s.register("live", "live", false), s.register("beside", "beside", false)
	s.write(d, configMap(event.Create, "web", "a", 1))
	s.write(d, configMap(event.Update, "web", "b", 2), configMap(event.Create, "api", "a", 3))
	s.write(d, configMap(event.Update, "web", "b", 4)) // no change
	s.write(d, configMap(event.Update, "web", "a", 5))
	s.ask(d, "run-1", 1)
	s.write(d, result(event.Create, "run-1", "one", "x", true), result(event.Update, "run-1", "api", "b", false))
	s.write(d, configMap(event.Delete, "web", "", 6))
	_, stop := s.start()
	s.until("all of it", func() bool { return len(s.subjects()) == 6 })
	s.write(beside, configMap(event.Create, "web", "a", 7)) // from here on, the hashes are others
	s.write(d, configMap(event.Create, "web", "c", 8))
	s.until("what came beside", func() bool { return len(s.subjects()) == 8 })
	stop()

	var r *replayed
	s.untouched(func() {
		var err error
		if r, err = s.replay(d, gitwriter.Credentials{}); err != nil {
			t.Fatal(err)
		}
	})
	if got, want := s.blobs(r.dir, d), s.blobs(s.dir, d); !slices.Equal(got, want) || len(want) < 20 {
		t.Errorf("it makes\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got, want := r.git("rev-list", "--reverse", "main~1"), s.git("rev-list", "--reverse", "main~2"); got != want {
		t.Errorf("it makes the commits\n%s\nwant\n%s", got, want)
	}
	told := make([]string, len(r.commits))
	for i, c := range r.commits {
		told[i] = fmt.Sprintf("%s %s %d", c.Commit, c.Subject, c.Position)
	}
	format := "--format=%H %s %(trailers:key=Kubescribe-Position,valueonly,separator=%x2C)"
	incarnation := s.bus.Install.Incarnation + "/" + d.BranchKey + "/"
	if want := strings.Split(strings.ReplaceAll(r.git("log", "--reverse", format, "main"), incarnation, ""), "\n"); !slices.Equal(told, want) {
		t.Errorf("it tells of\n%q, and made\n%q", told, want)
	}
	if want := map[outcome.Outcome]int{outcome.Committed: 8, outcome.Unchanged: 1}; !maps.Equal(r.outcomes, want) {
		t.Errorf("it counts %v, want %v", r.outcomes, want)
	}
}

// git is git in the scratch repository.
func (r *replayed) git(args ...string) string {
	scratch := *r.stand
	scratch.dir = r.dir
	return scratch.git(args...)
}

// TestGitWriterReplayHeld: versions that a limit of commits has replaced make no commit, and
// what it holds in the end does.
func TestGitWriterReplayHeld(t *testing.T) {
	t.Parallel()
	s := newLimitStand(t)
	s.flap(5)
	s.stop()
	s.untouched(func() {
		r, err := s.replay(s.d, gitwriter.Credentials{})
		if err != nil {
			t.Fatal(err)
		}
		var at []uint64
		for _, c := range r.commits {
			at = append(at, c.Position)
		}
		if want := []uint64{1, 2, 5}; !slices.Equal(at, want) || r.outcomes[outcome.Coalesced] != 2 || r.outcomes[outcome.Committed] != 3 {
			t.Errorf("commits at %d, want %d; it counts %v", at, want, r.outcomes)
		}
	})
}

// TestGitWriterReplayLeavesOut: without a key what is sealed is left out, and with one it
// is encrypted; what would be dead-lettered is only told.
func TestGitWriterReplayLeavesOut(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	v := newVault(s)
	d := s.register("live", "live", false)
	s.write(d, configMap(event.Create, "web", "a", 1))
	s.write(d, v.secret(event.Create, "db", "YQ==", 2))
	bad := configMap(event.Create, "bad", "a", 3)
	bad.Path = "../outside.yaml"
	s.write(d, bad)
	for name, c := range map[string]struct {
		creds gitwriter.Credentials
		want  map[outcome.Outcome]int
		files string
	}{
		"without a key": {gitwriter.Credentials{}, map[outcome.Outcome]int{outcome.Committed: 1, outcome.Sealed: 1, outcome.DeadLettered: 1}, "live/.kubescribe.yaml\nlive/shop/configmaps/web.yaml"},
		"with a key":    {gitwriter.Credentials{Identity: v.file}, map[outcome.Outcome]int{outcome.Committed: 2, outcome.DeadLettered: 1}, "live/.kubescribe.yaml\nlive/shop/configmaps/web.yaml\nlive/shop/secrets/db.sops.yaml"},
	} {
		s.untouched(func() {
			r, err := s.replay(d, c.creds)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if !maps.Equal(r.outcomes, c.want) {
				t.Errorf("%s: it counts %v, want %v", name, r.outcomes, c.want)
			}
			if got := r.git("ls-tree", "-r", "--name-only", "main"); got != c.files {
				t.Errorf("%s: files %q", name, got)
			}
		})
	}
	other := newVault(s)
	s.untouched(func() {
		if _, err := s.replay(d, gitwriter.Credentials{Identity: other.file}); err == nil || !strings.Contains(err.Error(), "was sealed to "+v.to.String()) {
			t.Errorf("with another key: %v", err)
		}
	})
}

// TestGitWriterReplayDryRun: of a destination in DryRun a replay makes the commits that it would
// have pushed.
func TestGitWriterReplayDryRun(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	d := s.dryRun(s.register("live", "live", false), true)
	s.write(d, configMap(event.Create, "web", "a", 1))
	s.write(d, configMap(event.Update, "web", "b", 2))
	s.untouched(func() {
		r, err := s.replay(d, gitwriter.Credentials{})
		if err != nil {
			t.Fatal(err)
		}
		if len(r.commits) != 2 || r.outcomes[outcome.Committed] != 2 {
			t.Errorf("%d commits; it counts %v", len(r.commits), r.outcomes)
		}
	})
}

// TestGitWriterReplayOccupied: nothing that is there is written over.
func TestGitWriterReplayOccupied(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	d := s.registered(s.register("live", "live", false))
	dir := t.TempDir()
	none := func(func(bus.Message, error) bool) {}
	replay := func() error {
		_, err := gitwriter.Replay(t.Context(), s.bus, gitwriter.Credentials{}, d, dir, none, nil, s.log)
		return err
	}
	if err := replay(); err != nil {
		t.Error(err)
	}
	if err := replay(); !errors.Is(err, gitwriter.ErrOccupied) {
		t.Errorf("a second time: %v", err)
	}
}
