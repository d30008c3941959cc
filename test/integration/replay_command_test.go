package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kubescribe/kubescribe/services/reconciler"
	"github.com/kubescribe/kubescribe/shared/gittest"
	"github.com/kubescribe/kubescribe/shared/subject"
)

// recordedMirror is a mirror that has seen a run and some changes, whose roles do not run
// any more. While it sees the changes, do is called.
func recordedMirror(t *testing.T, do func(m *mirror)) *mirror {
	t.Helper()
	m := prepareMirror(t, "{}", []string{"d"}, "configmaps")
	m.cluster.put("configmaps", "shop", "a", "1")
	var stops []func()
	for _, name := range []string{"watcher", "router", "stream", "reconciler"} {
		stops = append(stops, m.start(name, reconciler.Deps{}).stop)
	}
	_, stop := m.stand.startAs(m.creds, prometheus.NewRegistry())
	m.until("the first run has closed", func() bool { p := m.phase("d"); return p.Run != "" && !p.Running() })
	m.until("it is on the remote", func() bool { return m.files() == 1 })
	m.tidied()
	do(m)
	for _, stop := range append(stops, stop) {
		stop()
	}
	return m
}

// changes makes some, and waits until each is a commit.
func (m *mirror) changes() {
	m.Helper()
	m.cluster.put("configmaps", "shop", "a", "2")
	m.cluster.put("configmaps", "other", "b", "1")
	m.cluster.put("configmaps", "shop", "a", "1")
	m.cluster.remove("configmaps", "other", "b")
	m.until("each is a commit", func() bool { return len(m.stand.subjects()) == 5 })
}

// asks runs a command to its end.
func (m *mirror) asks(code int, args ...string) *invocation {
	m.Helper()
	i := m.types(args...)
	i.ends(code)
	return i
}

// TestCommandReplay: changes are shown as they were, and written again as they were
// written, by either stage; and nothing on the bus or on the remote moves.
func TestCommandReplay(t *testing.T) {
	t.Parallel()
	m := recordedMirror(t, (*mirror).changes)
	m.stand.untouched(func() {
		m.printed()
		m.ranges()
		for _, stage := range []string{"git-writer", "stream"} {
			dir := filepath.Join(t.TempDir(), "again")
			out := m.asks(0, "replay", "--destination", "d", "--into", dir, "--stage", stage).stdout.String()
			again, err := gittest.Git(dir, "rev-list", "main")
			if want := m.stand.git("rev-list", "main"); err != nil || strings.TrimSpace(again) != want {
				t.Errorf("%s: it makes the commits\n%s(%v), want\n%s", stage, again, err, want)
			}
			for _, want := range []string{
				"waits for MARKs", "waits for results, changes are held", "LIVE_PROCESSING: run " + m.phase("d").Run + " attempt 1 has closed",
				": Create configmaps shop/a\n", ": Update configmaps shop/a\n", ": Delete configmaps other/b\n", "5  committed  ",
			} {
				if !strings.Contains(out, want) {
					t.Errorf("%s: it does not say %q:\n%s", stage, want, out)
				}
			}
			if strings.Contains(out, "differs") {
				t.Errorf("%s: it decides otherwise:\n%s", stage, out)
			}
		}
		dir := filepath.Join(t.TempDir(), "b")
		m.asks(0, "replay", "--destination", "d", "--namespace", "other", "--into", dir)
		if subjects, err := gittest.Git(dir, "log", "--format=%s", "main"); err != nil || subjects != "Delete configmaps other/b\nCreate configmaps other/b" {
			t.Errorf("of a namespace it makes %q, %v", subjects, err)
		}
		m.types("replay", "--destination", "d", "--into", dir).ends(1, "it is there already, and not empty")
	})
}

// printed checks each format.
func (m *mirror) printed() {
	m.Helper()
	var versions, manifests []string
	d := json.NewDecoder(strings.NewReader(m.asks(0, "replay", "--resource", "configmaps", "-n", "shop", "--name", "a", "-o", "json").stdout.String()))
	for d.More() {
		var e struct{ Stream, Op, Name, ResourceVersion, Manifest string }
		if err := d.Decode(&e); err != nil {
			m.Fatal(err)
		}
		versions, manifests = append(versions, e.Stream+" "+e.Op+" "+e.Name), append(manifests, e.Manifest)
	}
	file := m.stand.git("show", "main:live/shop/configmaps/a.yaml") + "\n"
	if len(manifests) != 2 || manifests[1] != file || manifests[0] != strings.Replace(file, `"1"`, `"2"`, 1) || !slices.Equal(versions, []string{"KS_EVENTS UPDATE a", "KS_EVENTS UPDATE a"}) {
		m.Errorf("it prints %q, %q", versions, manifests)
	}
	for _, tt := range []struct {
		format string
		want   []string
	}{
		{"yaml", []string{"---\n# KS_WRITE ", "CREATE configmaps other/b at 103 for test/default/d", "\n" + file, "found by run ", "DELETE configmaps other/b at 105 for test/default/d\n"}},
		{"diff", []string{"# KS_WRITE ", "--- a/configmaps shop/a\n+++ b/configmaps shop/a\n", "-  text: \"1\"\n+  text: \"2\"\n", "-  text: \"2\"\n+  text: \"1\"\n", "--- a/configmaps other/b\n+++ /dev/null\n"}},
	} {
		out := m.asks(0, "replay", "--destination", "default/d", "-o", tt.format).stdout.String()
		for _, want := range tt.want {
			if !strings.Contains(out, want) {
				m.Errorf("as %s it does not say %q:\n%s", tt.format, want, out)
			}
		}
		if n := strings.Count(out, "# KS_WRITE"); n != 5 {
			m.Errorf("as %s it prints %d changes:\n%s", tt.format, n, out)
		}
	}
}

// ranges checks what is read, and what is said of it.
func (m *mirror) ranges() {
	m.Helper()
	first, err := m.bus.LastFor(m.Context(), subject.Write, subject.WriteDestination(key("d")))
	if err != nil {
		m.Fatal(err)
	}
	for _, tt := range []struct {
		args  []string
		shows int
		says  string
	}{
		{[]string{"--since", "1h"}, 5, "5 changes, "},
		{[]string{"--since", time.Now().Add(time.Hour).Format(time.RFC3339)}, 0, "nothing of the kind is in KS_WRITE, which holds "},
		{[]string{"--seq", fmt.Sprint(first.Seq)}, 1, fmt.Sprintf("1 change, %d (", first.Seq)},
		{[]string{"--seq", fmt.Sprintf("%d..", first.Seq+1)}, 0, "nothing of the kind"},
		{[]string{"--seq", fmt.Sprintf("..%d", first.Seq-1)}, 4, "4 changes, "},
		{[]string{"--resource", "deployments.apps"}, 0, "nothing of the kind"},
	} {
		i := m.asks(0, append([]string{"replay", "--destination", "d"}, tt.args...)...)
		if n := strings.Count(i.stdout.String(), "# KS_WRITE"); n != tt.shows || !strings.Contains(i.stderr.String(), tt.says) {
			m.Errorf("%v: it prints %d, and says %s", tt.args, n, i.stderr.String())
		}
	}
}

// TestCommandReplayTrimmed: what was removed is said.
func TestCommandReplayTrimmed(t *testing.T) {
	t.Parallel()
	m := recordedMirror(t, (*mirror).changes)
	if err := m.bus.Purge(t.Context(), subject.Events, subject.AllEvents, 4); err != nil {
		t.Fatal(err)
	}
	i := m.asks(0, "replay")
	if !strings.Contains(i.stderr.String(), "messages it ever had, the first one ") || !strings.Contains(i.stderr.String(), "the others were removed") {
		t.Errorf("it says %s", i.stderr.String())
	}
}

// TestCommandTail: each hop of a change is a line, and so is its push; ^C is no error.
func TestCommandTail(t *testing.T) {
	t.Parallel()
	recordedMirror(t, func(m *mirror) {
		tails := map[string]*invocation{"": m.types("tail"), "of b": m.types("tail", "-n", "other"), "json": m.types("tail", "-o", "json", "--destination", "d")}
		for _, i := range tails {
			i.says("following")
		}
		m.changes()
		for _, want := range []string{
			"UPDATE configmaps shop/a at 102 for test/default/d\n", "UPDATE configmaps shop/a at 102 for test/default/d routed\n",
			"UPDATE configmaps shop/a at 102 for test/default/d LIVE_PROCESSING forwarded\n", "pushed up to KS_WRITE ", ": Delete configmaps other/b\n",
		} {
			m.until("it says "+want, func() bool { return strings.Contains(tails[""].stdout.String(), want) })
		}
		m.until("json ends with the last push", func() bool {
			return strings.Contains(tails["json"].stdout.String(), `"subject":"Delete configmaps other/b"`)
		})
		for line := range strings.Lines(tails["json"].stdout.String()) {
			if err := json.Unmarshal([]byte(line), &struct{}{}); err != nil {
				t.Errorf("%q: %v", line, err)
			}
		}
		for _, i := range tails {
			if err := i.cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
			i.ends(0)
		}
		if out := tails["of b"].stdout.String(); strings.Contains(out, "shop/a") || strings.Count(out, "other/b at") != 6 {
			t.Errorf("of another namespace it shows\n%s", out)
		}
	})
}

// TestCommandReplayTyped: what cannot be meant is refused.
func TestCommandReplayTyped(t *testing.T) {
	t.Parallel()
	in := newInstall(t)
	for says, args := range map[string][]string{
		"--output xml":                      {"replay", "-o", "xml"},
		"--output yaml: use line or json":   {"tail", "-o", "yaml"},
		"--stage router: use":               {"replay", "--stage", "router"},
		"go with --into":                    {"replay", "--stage", "stream"},
		"--into and --output":               {"replay", "--destination", "d", "--into", "x", "-o", "json"},
		"--into needs --destination":        {"replay", "--into", "x"},
		"--seq and --since":                 {"replay", "--seq", "1..2", "--since", "1h"},
		"--seq 2..1":                        {"replay", "--seq", "2..1"},
		"--seq ..":                          {"replay", "--seq", ".."},
		"--seq a..b":                        {"replay", "--seq", "a..b"},
		"--seq 0..1":                        {"replay", "--seq", "0..1"},
		"--since yesterday":                 {"replay", "--since", "yesterday"},
		"--since -1h":                       {"replay", "--since", "-1h"},
		"--resource a/b/c: write":           {"replay", "--resource", "a/b/c"},
		"--resource apps/: write":           {"tail", "--resource", "apps/"},
		`unexpected argument "deployments"`: {"replay", "deployments"},
	} {
		in.types(args...).ends(2, says)
	}
	in.types("replay", "--destination", "d").ends(1, `there is no destination "d"`)
	in.types("tail", "--destination", "d").ends(1, `there is no destination "d"`)
}
