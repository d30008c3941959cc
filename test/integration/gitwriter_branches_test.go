package integration

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/gittest"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// registerOn is register, on a branch.
func (s *stand) registerOn(branch, name, folder string, adopt bool) event.Destination {
	s.Helper()
	d := s.register(name, folder, adopt)
	d.Branch, d.BranchKey = branch, subject.BranchKey(s.url, branch)
	s.put(d)
	return d
}

// committed are the versions of a destination's live changes in the history of its branch, oldest first.
func (s *stand) committed(d event.Destination) (versions []string) {
	out, err := gittest.Git(s.dir, "log", "--reverse", "--topo-order", "--format=%(trailers:key=Kubescribe-Destination,valueonly,separator=) %(trailers:key=Kubescribe-Resource-Version,valueonly,separator=)", d.Branch)
	if err != nil {
		return nil // there is none yet
	}
	for line := range strings.Lines(out) {
		if v, is := strings.CutPrefix(strings.TrimSpace(line), d.Key.String()+" "); is {
			versions = append(versions, v)
		}
	}
	return versions
}

// blocks has pushes to a branch refused by the host, until the gate is set anew.
func (s *stand) blocks(branch string) {
	s.gate.set(func(_ http.Handler, w http.ResponseWriter, r *http.Request) bool {
		if s.pushesTo(r, branch) {
			w.WriteHeader(http.StatusBadGateway)
			return true
		}
		return false
	})
}

// pushesTo is whether a request is a push to a branch. Who serves it behind that finds it whole.
func (s *stand) pushesTo(r *http.Request, branch string) bool {
	if !isPush(r) {
		return false
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		s.Error(err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return bytes.Contains(body, []byte("refs/heads/"+branch))
}

// TestGitWriterBranches: where one branch that is mirrored is merged into another one, branched off
// it, or has commits that were picked from it, each goes on from its own position. How far the commits of
// the other one say to be is of that one; so it is where nothing is remembered but what stands in Git.
func TestGitWriterBranches(t *testing.T) {
	t.Parallel()
	all := []string{"1", "2", "3", "4", "5"}
	for name, tt := range map[string]struct {
		branched bool   // next is made by somebody when its changes wait already
		folder   string // of next's destination
		by       [][]string
		want     []string // of main; of next it is all
	}{
		"merged into each other": {
			false, "next", [][]string{{"switch", "-q", "main"}, {"merge", "-q", "-m", "Merge", "origin/next"}, {"switch", "-q", "next"}, {"merge", "-q", "-m", "Merge", "main"}}, all,
		},
		"picked from each other": {
			false, "next", [][]string{{"switch", "-q", "main"}, {"cherry-pick", "origin/next"}, {"switch", "-q", "next"}, {"cherry-pick", "main~1"}}, all,
		},
		"an older one picked again": {
			false, "next", [][]string{{"revert", "--no-edit", "HEAD~2"}, {"cherry-pick", "HEAD~3"}}, []string{"1", "2", "3", "4", "2", "5"},
		},
		"branched off":                     {true, "next", [][]string{{"branch", "next"}}, all},
		"branched off, in the same folder": {true, "live", [][]string{{"branch", "next"}}, all},
	} {
		for _, remembered := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, remembered %t", name, remembered), func(t *testing.T) {
				t.Parallel()
				s := newStand(t)
				main := s.registerOn("main", "live", "live", false)
				next := s.registerOn("next", "next", tt.folder, tt.branched)
				write := func(d event.Destination, versions ...int) {
					t.Helper()
					for _, v := range versions {
						s.write(d, configMap(event.Create, fmt.Sprint("web-", v), fmt.Sprint(d.Branch, v), v))
					}
				}
				lands := func(d event.Destination, want ...string) {
					t.Helper()
					s.until(fmt.Sprintf("%s has %q", d.Branch, want), func() bool {
						got := s.committed(d)
						if n := min(len(got), len(want)); !slices.Equal(got[:n], want[:n]) || len(got) > n {
							t.Fatalf("%s has %q, want %q", d.Branch, got, want)
						}
						return len(got) == len(want)
					})
				}
				_, stop := s.start()
				write(main, 1, 2, 3)
				lands(main, all[:3]...)
				if !tt.branched {
					s.git("branch", "next", "main")
					write(next, 1, 2, 3)
					lands(next, all[:3]...)
				}
				stop()

				// What main has is further in KS_WRITE than what next lacks.
				s.blocks("next")
				if tt.branched {
					write(next, 1, 2, 3)
				}
				write(next, 4)
				write(main, 4)
				_, stop = s.start()
				lands(main, all[:4]...)
				stop()
				clone := filepath.Join(t.TempDir(), "clone")
				if _, err := gittest.Git(t.TempDir(), "clone", "-q", s.dir, clone); err != nil {
					t.Fatal(err)
				}
				for _, args := range append(tt.by, []string{"push", "-q", "--all", "origin"}) {
					if _, err := gittest.Git(clone, append([]string{"-c", "user.name=p", "-c", "user.email=p@x"}, args...)...); err != nil {
						t.Fatal(err)
					}
				}
				s.gate.set(nil)
				if !remembered {
					for _, d := range []event.Destination{main, next} {
						if err := mustHints(s).Delete(t.Context(), subject.HintKey(d.BranchKey)); err != nil {
							t.Fatal(err)
						}
					}
				}

				s.start()
				write(next, 5)
				write(main, 5)
				lands(main, tt.want...)
				lands(next, all...)
				s.git("fsck", "--strict")
			})
		}
	}
}

// mustHints is where it is kept how far branches are.
func mustHints(s *stand) *bus.Bucket[event.Hint] {
	s.Helper()
	hints, err := bus.OpenBucket[event.Hint](s.Context(), s.bus, subject.BucketCursor)
	if err != nil {
		s.Fatal(err)
	}
	return hints
}
