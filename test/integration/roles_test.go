package integration

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubescribe/kubescribe/services/reconciler"
	"github.com/kubescribe/kubescribe/services/router"
	"github.com/kubescribe/kubescribe/services/stream"
	"github.com/kubescribe/kubescribe/services/watcher/selection"
	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/seal"
	"github.com/kubescribe/kubescribe/shared/subject"
	"github.com/kubescribe/kubescribe/test/integration/natstest"
)

// install is a NATS server with an install, on which roles run.
type install struct {
	*testing.T
	nats  *natstest.Server
	bus   *bus.Bus // the test's own
	js    jetstream.JetStream
	lanes map[int]*bus.Lane
	// fullFor is how long roles wait for room in KS_SNAP; 0: as long as they do.
	fullFor time.Duration
	// recipient is to whom watchers seal Secrets; nil: they do not.
	recipient *seal.Recipient
	log       *slog.Logger // of watchers; nil: nowhere
	replica   string       // of a watcher: its name among those it shares with; "": it shares with nobody
	password  string       // file, of the operator's NATS user, once a command line has needed it
}

// long leaves out what takes long where that is asked for: make test has no time for it.
func long(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("it takes long: make long plays it, for make verify too")
	}
}

func newInstall(t *testing.T) *install {
	t.Helper()
	in := &install{T: t, nats: natstest.Start(t), lanes: map[int]*bus.Lane{}}
	in.bus = in.nats.Connect(t)
	if err := in.bus.Provision(t.Context(), bus.Options{Replicas: 1}); err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(in.nats.NATS(t))
	if err != nil {
		t.Fatal(err)
	}
	in.js = js
	return in
}

// connect opens a connection for a role, with its permissions.
func (in *install) connect(as subject.User) *bus.Bus {
	in.Helper()
	return in.verified(in.nats.ConnectAs(in.T, as))
}

// verified is a connection that knows the install.
func (in *install) verified(b *bus.Bus) *bus.Bus {
	in.Helper()
	if err := b.Verify(in.Context()); err != nil {
		in.Fatal(err)
	}
	if in.fullFor > 0 {
		b.FullFor = in.fullFor
	}
	return b
}

// role is a role that runs until stop is called, at the latest until the test
// ends.
type role struct {
	bus     *bus.Bus
	metrics *prometheus.Registry
	ready   func() error
	stop    func()
}

// run runs a role and waits until it is ready.
func (in *install) run(run func(context.Context) error, r role) role {
	in.Helper()
	r = in.begin(run, r)
	in.until("the role is ready", func() bool { return r.ready() == nil })
	return r
}

// begin runs a role.
func (in *install) begin(run func(context.Context) error, r role) role {
	in.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				in.Errorf("the role ended with %v", err)
			}
		case <-time.After(patience):
			in.Error("the role does not end")
		}
	})
	in.Cleanup(r.stop)
	return r
}

func (in *install) router() role {
	in.Helper()
	b, reg := in.connect(subject.UserRouter), prometheus.NewRegistry()
	r := router.New(router.Deps{Bus: b, Log: slog.New(slog.DiscardHandler), Metrics: reg})
	return in.run(r.Run, role{bus: b, metrics: reg, ready: r.Ready})
}

func (in *install) stream() role {
	in.Helper()
	return in.streamOn(in.connect(subject.UserStream))
}

func (in *install) streamOn(b *bus.Bus) role {
	in.Helper()
	reg := prometheus.NewRegistry()
	s, err := stream.New(in.Context(), stream.Deps{Bus: b, Log: slog.New(slog.DiscardHandler), Metrics: reg, Owner: "test"})
	if err != nil {
		in.Fatal(err)
	}
	return in.run(s.Run, role{bus: b, metrics: reg, ready: s.Ready})
}

func (in *install) reconciler() role {
	in.Helper()
	return in.reconcilerWith(reconciler.Deps{})
}

// reconcilerWith runs a reconciler with what is given of its dependencies.
func (in *install) reconcilerWith(d reconciler.Deps) role {
	in.Helper()
	if d.Bus == nil {
		d.Bus = in.connect(subject.UserReconciler)
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	reg := prometheus.NewRegistry()
	d.Metrics = reg
	r, err := reconciler.New(in.Context(), d)
	if err != nil {
		in.Fatal(err)
	}
	return in.run(r.Run, role{bus: d.Bus, metrics: reg, ready: r.Ready})
}

// until waits for a condition; the deadline is there to fail, not to measure.
func (in *install) until(what string, met func() bool) {
	in.Helper()
	ctx, cancel := context.WithTimeout(in.Context(), patience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !met() {
		select {
		case <-ctx.Done():
			in.Fatalf("still not: %s", what)
		case <-tick.C:
		}
	}
}

// restartNATS stops the server, and starts it again.
func (in *install) restartNATS() {
	in.Helper()
	in.nats.Restart(in.T)
	in.answered()
}

// answered waits until the server that was restarted answers the test: what is asked before a client
// notices that the server went is answered by nobody, though it says that it is connected.
func (in *install) answered() {
	in.Helper()
	in.until("the bus answers", func() bool { _, err := in.bus.LastSeq(in.Context(), subject.Live); return err == nil })
	in.until("JetStream answers", func() bool { _, err := in.js.AccountInfo(in.Context()); return err == nil })
}

// noneLeft asserts that roles that have stopped left no goroutine. The server is
// in this process too, so that goleak would find its own.
func (in *install) noneLeft() {
	in.Helper()
	var left string
	in.until("stopped roles leave no goroutine", func() bool {
		stacks := make([]byte, 4<<20)
		left = ""
		for _, g := range strings.Split(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
			for _, of := range []string{"kubescribe/services/", "shared/bus.(*Hop)", "shared/bus.(*Registry)", "shared/bus.(*Responder)", "shared/bus.(*Reader)"} {
				if strings.Contains(g, of) {
					left = g
				}
			}
		}
		return left == ""
	})
}

// key is a destination of these tests.
func key(name string) event.DestinationKey {
	return event.DestinationKey{Cluster: "test", Namespace: "default", Name: name}
}

const branch = "0123456789abcdef"

// register puts a destination into the registry, anew if it is there, and
// returns its revision.
func (in *install) register(name string, rules ...event.Rule) uint64 {
	in.Helper()
	d := event.Destination{
		V: event.Version, Key: key(name), ClusterID: "cluster-uid", URL: "/srv/live.git", Branch: "main", BaseFolder: name,
		BranchKey: branch, Committer: event.Person{Name: "k", Email: "k@localhost"}, Rules: rules,
	}
	kv, err := bus.OpenBucket[event.Destination](in.Context(), in.bus, subject.BucketDestination)
	if err != nil {
		in.Fatal(err)
	}
	_, rev, err := kv.Get(in.Context(), subject.DestinationToken(d.Key))
	if err != nil && !errors.Is(err, bus.ErrNoMessage) {
		in.Fatal(err)
	}
	if rev, err = kv.Put(in.Context(), subject.DestinationToken(d.Key), d, rev); err != nil {
		in.Fatal(err)
	}
	return rev
}

// unregister removes a destination from the registry.
func (in *install) unregister(name string) {
	in.Helper()
	kv, err := bus.OpenBucket[event.Destination](in.Context(), in.bus, subject.BucketDestination)
	if err != nil {
		in.Fatal(err)
	}
	if err := kv.Delete(in.Context(), subject.DestinationToken(key(name))); err != nil {
		in.Fatal(err)
	}
}

// phases is KS_PHASE.
func (in *install) phases() *bus.Bucket[event.PhaseRecord] {
	in.Helper()
	kv, err := bus.OpenBucket[event.PhaseRecord](in.Context(), in.bus, subject.BucketPhase)
	if err != nil {
		in.Fatal(err)
	}
	return kv
}

// phase is a destination's entry in KS_PHASE, the zero one if there is none.
func (in *install) phase(name string) event.PhaseRecord {
	in.Helper()
	rec, _, err := in.phases().Get(in.Context(), subject.DestinationToken(key(name)))
	if err != nil && !errors.Is(err, bus.ErrNoMessage) {
		in.Fatal(err)
	}
	return rec
}

// setPhase overwrites a destination's entry in KS_PHASE.
func (in *install) setPhase(name string, rec event.PhaseRecord) {
	in.Helper()
	rec.V = event.Version
	kv := in.phases()
	in.until("the phase is set", func() bool {
		_, rev, err := kv.Get(in.Context(), subject.DestinationToken(key(name)))
		if err != nil && !errors.Is(err, bus.ErrNoMessage) {
			in.Fatal(err)
		}
		_, err = kv.Put(in.Context(), subject.DestinationToken(key(name)), rec, rev)
		if err != nil && !errors.Is(err, bus.ErrConflict) {
			in.Fatal(err)
		}
		return err == nil
	})
}

// publish stores a change as its lane's owner, and returns its sequence.
func (in *install) publish(c event.Change) uint64 {
	in.Helper()
	if c.To == nil {
		c.To = in.selecting(c)
	}
	part := subject.Part(c.Cluster, c.Group, c.Resource)
	h, body := c.Message()
	return in.laneStore(part, c.Cluster, subject.ChangeID(c), bus.Output{
		Subject: subject.EventChange(part, c.Cluster, c.Group, c.Resource, c.Namespace), Header: h, Data: body,
	})
}

// selecting are the destinations whose rules select what a change is about, but for its
// content.
func (in *install) selecting(c event.Change) []event.DestinationKey {
	in.Helper()
	kv, err := bus.OpenBucket[event.Destination](in.Context(), in.bus, subject.BucketDestination)
	if err != nil {
		in.Fatal(err)
	}
	entries, err := kv.All(in.Context())
	if err != nil {
		in.Fatal(err)
	}
	var all []event.Destination
	for _, key := range slices.Sorted(maps.Keys(entries)) {
		if d := entries[key].Record; d.Key.Cluster == c.Cluster {
			all = append(all, d)
		}
	}
	s, err := selection.New(all)
	if err != nil {
		in.Fatal(err)
	}
	of := schema.GroupVersionResource{Group: c.Group, Version: c.APIVersion, Resource: c.Resource}
	o := &unstructured.Unstructured{Object: map[string]any{}}
	o.SetNamespace(c.Namespace)
	o.SetName(c.Name)
	return s.Keys(s.Of(of).Possible(o))
}

// publishMark stores a MARK as its lane's owner.
func (in *install) publishMark(m event.Mark) uint64 {
	in.Helper()
	h, body := m.Message()
	k, err := event.ParseDestinationKey(m.Destination)
	if err != nil {
		in.Fatal(err)
	}
	return in.laneStore(m.Part, m.Cluster, subject.MarkID(m), bus.Output{Subject: subject.EventMark(m.Part, m.Cluster, k), Header: h, Data: body})
}

func (in *install) laneStore(part int, cluster, id string, out bus.Output) uint64 {
	in.Helper()
	l := in.lanes[part]
	if l == nil {
		var err error
		if l, err = in.bus.TakeLane(in.Context(), part, cluster, "test"); err != nil {
			in.Fatal(err)
		}
		in.lanes[part] = l
	}
	if _, err := l.Publish(in.Context(), bus.Item{ID: id, Output: out}); err != nil {
		in.Fatal(err)
	}
	m, err := in.bus.LastFor(in.Context(), subject.Events, out.Subject)
	if err != nil {
		in.Fatal(err)
	}
	return m.Seq
}

// store puts a message into a stream as the hop before the one under test does.
func (in *install) store(subj, id string, h event.Header, body []byte) {
	in.Helper()
	h = event.Forward(h, id)
	h[event.HeaderCursor] = []string{bus.Cursor{}.String()}
	if _, err := in.js.PublishMsg(in.Context(), &nats.Msg{Subject: subj, Header: nats.Header(h), Data: body}); err != nil {
		in.Fatal(err)
	}
}

// read reads the changes and MARKs of a stream, oldest first, up to the one that
// is the last to come. What comes before it has come by then: streams are logs.
func (in *install) read(stream, filter string, last func(bus.Message) bool) []bus.Message {
	in.Helper()
	ctx, cancel := context.WithTimeout(in.Context(), patience)
	defer cancel()
	r, err := in.bus.Read(ctx, stream, []string{filter}, 1)
	if err != nil {
		in.Fatal(err)
	}
	defer r.Close()
	var all []bus.Message
	for ctx.Err() == nil {
		m, ok, err := r.Next(ctx, time.Second)
		if err != nil {
			in.Fatal(err)
		}
		if !ok {
			continue
		}
		kind, err := event.KindOf(m.Header)
		if err != nil {
			in.Fatal(err)
		}
		if kind != event.KindCheckpoint {
			all = append(all, m)
		}
		if last(m) {
			return all
		}
	}
	in.Fatalf("the last message of %s did not come; %d others did", filter, len(all))
	return nil
}

// change decodes a message that is one.
func (in *install) change(m bus.Message) event.Change {
	in.Helper()
	c, err := event.ParseChange(m.Header, m.Data)
	if err != nil {
		in.Fatal(err)
	}
	return c
}

// named tells the change of an object of that name.
func named(name string) func(bus.Message) bool {
	return func(m bus.Message) bool {
		v := m.Header[event.HeaderName]
		return len(v) == 1 && v[0] == name
	}
}

// counted is the value of a role's counter, over all that have a label of that value.
func (in *install) counted(r role, name, label string) (n int) {
	in.Helper()
	families, err := r.metrics.Gather()
	if err != nil {
		in.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && slices.ContainsFunc(m.GetLabel(), func(l *dto.LabelPair) bool { return l.GetValue() == label }) {
				n += int(m.GetCounter().GetValue() + m.GetGauge().GetValue())
			}
		}
	}
	return n
}
