package e2e_test

import (
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/kubescribe/kubescribe/shared/gittest"
	"github.com/kubescribe/kubescribe/shared/subject"
	"github.com/kubescribe/kubescribe/test/e2e/harness"
)

// TestReplay: after changes and deletions in two destinations of one branch, while each
// service was killed in the middle of them and the NATS server was, the replay of one of
// the destinations makes the blobs of its live commits again, in their order, by either
// stage. Every message on the bus, every consumer and every ref of the remote is what it
// was, byte for byte.
func TestReplay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cluster)
	ns, beside := w.namespace(t, "replayed"), w.namespace(t, "beside")
	f := newFleet(t, w)
	f.mirror(t, mirror{"live", []string{ns}}, mirror{"beside", []string{beside}})
	for _, name := range services {
		f.start(t, name)
	}
	w.settle(t, scope(ns))
	w.sentinel(t, ns)
	f.newestRun(t)

	writes := f.traffic(t, ns, beside)
	must(t, w.awaitVersions(within(t, stepLimit), "", writes...))
	w.sentinel(t, ns)
	w.sentinel(t, beside)
	w.settle(t, scope(ns))
	report(t, harness.Versions(harness.OfPlacement(w.history(t), keyOf("live").String()), ofNamespace(writes, ns)))
	for _, name := range services {
		stop(t, f.running[name])
	}

	await(t, "those who were killed to read no more", func() bool { return f.readers(t) == 0 })
	f.replays(t, "live", everyStream)
	await(t, "nobody to read any more", func() bool { return f.readers(t) == 0 })
}

// replays replays a destination by either stage, each into a repository of its own, and fails
// the test unless that has the blobs of its commits again, in their order, and what stands on
// the bus and on the remote is what it was: of the messages, those of the streams that are named.
func (f *fleet) replays(t *testing.T, destination string, named func(stream string) bool) {
	t.Helper()
	before := f.standing(t, named)
	want := commitsOf(t, f.remote.Dir, destination)
	for _, stage := range []string{"git-writer", "stream"} {
		dir := filepath.Join(t.TempDir(), "again.git")
		cmd, err := harness.Command{Bins: bins, Program: "kubescribe", Args: []string{
			"replay", "--nats", f.server.URL, "--destination", destination, "--into", dir, "--stage", stage,
		}}.Exec()
		must(t, err)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", stage, err, out)
		}
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		t.Logf("%s ends with\n%s", stage, strings.Join(lines[max(0, len(lines)-8):], "\n"))
		if got := commitsOf(t, dir, destination); got != want {
			t.Errorf("%s: it makes\n%s\nwant\n%s", stage, excerpt(got), excerpt(want))
		}
	}
	for name, now := range f.standing(t, named) {
		if now != before[name] {
			t.Errorf("%s is not what it was: %s and %s", name, excerpt(now), excerpt(before[name]))
		}
		delete(before, name)
	}
	for name := range maps.Keys(before) {
		t.Errorf("%s is gone", name)
	}
}

// traffic makes changes in namespaces while each service is killed in turn, and the NATS
// server, and returns what was answered.
func (f *fleet) traffic(t *testing.T, namespaces ...string) (writes []harness.Written) {
	t.Helper()
	flows, ends := []*harness.Traffic{}, []chan []harness.Written{}
	end := make(chan struct{})
	ctx := within(t, 4*stepLimit)
	for _, ns := range namespaces {
		flow, done := &harness.Traffic{Namespace: ns, Objects: 20, Rate: 30}, make(chan []harness.Written, 1)
		go func() {
			written, err := flow.Run(ctx, end, f.cfg)
			if err != nil {
				t.Error(err)
			}
			done <- written
		}()
		flows, ends = append(flows, flow), append(ends, done)
	}
	for i, name := range append([]string{natsServer}, services...) {
		await(t, "changes to flow", func() bool { return flows[0].Answered() > 60*(i+1) })
		f.again(t, name)
	}
	await(t, "changes to flow", func() bool { return flows[0].Answered() > 60*(len(services)+2) })
	close(end)
	for _, done := range ends {
		writes = append(writes, <-done...)
	}
	return writes
}

// ofNamespace is what was written of objects in a namespace.
func ofNamespace(writes []harness.Written, ns string) (of []harness.Written) {
	for _, w := range writes {
		if strings.Contains(w.Resource, " "+ns+"/") {
			of = append(of, w)
		}
	}
	return of
}

// commitsOf is what the commits about a destination have done, in their order: their words,
// and of each file which blob became which.
func commitsOf(t *testing.T, dir, destination string) string {
	t.Helper()
	out, err := gittest.Git(dir, "log", "--reverse", "--raw", "--no-abbrev", "--root", "--format=%s", "--grep=^Kubescribe-Destination: "+keyOf(destination).String()+"$", "main")
	must(t, err)
	if !strings.Contains(out, "\nDelete configmaps ") {
		t.Errorf("nothing was deleted:\n%s", excerpt(out))
	}
	return out
}

func excerpt(text string) string {
	lines := strings.Split(text, "\n")
	if len(lines) <= 20 {
		return text
	}
	return strings.Join(lines[:10], "\n") + fmt.Sprintf("\n… %d lines …\n", len(lines)-20) + strings.Join(lines[len(lines)-10:], "\n")
}

// everyStream names all of them.
func everyStream(string) bool { return true }

// leases go by themselves once nobody renews them.
const leases = "KV_" + subject.BucketLease

// standing is every message of the streams that are named, where each stream of all ends, how
// far its durable consumers are, and what the remote has. Leases are left out.
func (f *fleet) standing(t *testing.T, named func(stream string) bool) map[string]string {
	t.Helper()
	messages, err := harness.DumpBus(within(t, stepLimit), f.server.URL, func(stream string) bool { return stream != leases && named(stream) })
	must(t, err)
	refs, err := gittest.Git(f.remote.Dir, "for-each-ref")
	must(t, err)
	all := map[string]string{"the bus": messages, "the remote": refs}
	f.streams(t, func(s jetstream.Stream, consumers []*jetstream.ConsumerInfo) {
		if s.CachedInfo().Config.Name == leases {
			return
		}
		at := s.CachedInfo().State
		all[s.CachedInfo().Config.Name] = fmt.Sprintf("%d to %d, %d messages", at.FirstSeq, at.LastSeq, at.Msgs)
		for _, c := range consumers {
			if c.Config.Durable == "" {
				continue // it goes with who has made it
			}
			all[c.Stream+" "+c.Name] = fmt.Sprintf("%+v %+v %+v", c.Config, c.Delivered, c.AckFloor)
		}
	})
	return all
}

// readers is how many consumers there are that go with who made them.
func (f *fleet) readers(t *testing.T) (n int) {
	t.Helper()
	f.streams(t, func(_ jetstream.Stream, consumers []*jetstream.ConsumerInfo) {
		for _, c := range consumers {
			if c.Config.Durable == "" {
				n++
			}
		}
	})
	return n
}

// streams looks at each of the bus.
func (f *fleet) streams(t *testing.T, look func(jetstream.Stream, []*jetstream.ConsumerInfo)) {
	t.Helper()
	nc, err := nats.Connect(f.server.URL)
	must(t, err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	must(t, err)
	ctx := within(t, stepLimit)
	all := js.ListStreams(ctx)
	for info := range all.Info() {
		s, err := js.Stream(ctx, info.Config.Name)
		must(t, err)
		var consumers []*jetstream.ConsumerInfo
		of := s.ListConsumers(ctx)
		for c := range of.Info() {
			consumers = append(consumers, c)
		}
		must(t, of.Err())
		look(s, consumers)
	}
	must(t, all.Err())
}
