package capture

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/fault"
)

var widgets = schema.GroupResource{Group: "example.com", Resource: "widgets"}

// server is an API server for one type: it keeps a history of events that can be
// watched from any version in it, and forgets on demand.
type server struct {
	dynamic.ResourceInterface // what a worker must not call

	mu       sync.Mutex
	rv       int
	objects  map[string]*unstructured.Unstructured
	history  []past
	oldest   int // versions before it are answered with 410
	pageSize int
	open     map[*follower]bool
	deaf     bool     // watches see nothing until the server restarts
	watches  []string // the version of each watch request
	lists    int      // requests for first pages
	narrowed int      // requests for pages of one namespace
	gets     int      // requests for one object
	onGet    error    // what those are answered with; nil for the object

	unversioned bool // lists have no version
	silent      bool // requests are taken and never answered

	onList  func(opts metav1.ListOptions) error // called without mu; nil for nothing
	onWatch func(opts metav1.ListOptions) error // the same
}

type past struct {
	rv int
	ev watch.Event
}

func newServer() *server {
	return &server{rv: 100, oldest: 100, objects: map[string]*unstructured.Unstructured{}, pageSize: 2, open: map[*follower]bool{}}
}

// widget is an object of the type. Its size is intent, its progress is status.
func widget(name string, size int64) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "example.com/v1", "kind": "Widget",
		"metadata": map[string]any{"name": name, "namespace": "shop", "uid": "u-" + name},
		"spec":     map[string]any{"size": size},
	}}
}

func (s *server) put(o *unstructured.Unstructured) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rv++
	o = o.DeepCopy()
	o.SetResourceVersion(strconv.Itoa(s.rv))
	op := watch.Modified
	if s.objects[o.GetName()] == nil {
		op = watch.Added
	}
	s.objects[o.GetName()] = o
	s.publish(watch.Event{Type: op, Object: o})
	return o.GetResourceVersion()
}

func (s *server) remove(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rv++
	o := s.objects[name].DeepCopy()
	o.SetResourceVersion(strconv.Itoa(s.rv))
	delete(s.objects, name)
	s.publish(watch.Event{Type: watch.Deleted, Object: o})
	return o.GetResourceVersion()
}

// publish is called with mu held.
func (s *server) publish(ev watch.Event) {
	s.history = append(s.history, past{s.rv, ev})
	if s.deaf {
		return
	}
	for f := range s.open {
		f.send(ev)
	}
}

// partition makes watches see nothing of what happens before a restart or expiry.
func (s *server) partition() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deaf = true
}

// restart ends every watch and forgets every version, as a real API server does
// when it restarts.
func (s *server) restart() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rv++
	s.oldest, s.history, s.deaf = s.rv, nil, false
	for f := range s.open {
		f.end()
	}
}

// expire forgets every version, and tells those who watch.
func (s *server) expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rv++
	s.oldest, s.history, s.deaf = s.rv, nil, false
	for f := range s.open {
		f.fail(apierrors.NewResourceExpired("too old resource version"))
		f.end()
	}
}

// refuse makes lists and watches fail, nil to let them work again.
func (s *server) refuse(list, watch func(opts metav1.ListOptions) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onList, s.onWatch = list, watch
}

// hush makes every request wait without an answer, or no longer.
func (s *server) hush(silent bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.silent = silent
}

// lose forgets every watch without a word to those who watch.
func (s *server) lose() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for f := range s.open {
		f.timer.Stop()
		delete(s.open, f)
	}
}

// heard waits for ctx while the server is silent.
func (s *server) heard(ctx context.Context) error {
	s.mu.Lock()
	silent := s.silent
	s.mu.Unlock()
	if !silent {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

// hangUp ends every watch.
func (s *server) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for f := range s.open {
		f.end()
	}
}

// bookmark tells every watch that it is up to date.
func (s *server) bookmark() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rv++ // some other type's
	for f := range s.open {
		f.bookmark()
	}
	return strconv.Itoa(s.rv)
}

func (s *server) requests() (lists int, watches []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lists, slices.Clone(s.watches)
}

func (s *server) List(ctx context.Context, opts metav1.ListOptions) (*unstructured.UnstructuredList, error) {
	if err := s.heard(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	refuse := s.onList
	exact := opts.ResourceVersionMatch == metav1.ResourceVersionMatchExact
	future := exact && atoi(opts.ResourceVersion) > s.rv
	changed := s.oldest
	if n := len(s.history); n > 0 {
		changed = s.history[n-1].rv
	}
	s.mu.Unlock()
	if future {
		return nil, apierrors.NewTimeoutError("Too large resource version", 1)
	}
	if version := opts.ResourceVersion; exact && atoi(version) < changed { // what was then, it does not keep
		return nil, apierrors.NewResourceExpired("the version is too old")
	}
	if refuse != nil {
		if err := refuse(opts); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	at, after := s.rv, ""
	if exact {
		at = atoi(opts.ResourceVersion)
	}
	if opts.Continue == "" {
		s.lists++
	} else {
		version, name, _ := strings.Cut(opts.Continue, " ")
		if at, after = atoi(version), name; at < s.oldest {
			return nil, apierrors.NewResourceExpired("the provided continue parameter is too old")
		}
	}
	l := &unstructured.UnstructuredList{}
	if !s.unversioned {
		l.SetResourceVersion(strconv.Itoa(at))
	}
	for _, name := range slices.Sorted(maps.Keys(s.objects)) {
		if name <= after {
			continue
		}
		if len(l.Items) == s.pageSize {
			l.SetContinue(strconv.Itoa(at) + " " + l.Items[len(l.Items)-1].GetName())
			break
		}
		l.Items = append(l.Items, *s.objects[name].DeepCopy())
	}
	return l, nil
}

// in is the client of one namespace.
func (s *server) in(namespace string) dynamic.ResourceInterface { return inNamespace{s, namespace} }

type inNamespace struct {
	*server
	namespace string
}

func (s inNamespace) List(ctx context.Context, opts metav1.ListOptions) (*unstructured.UnstructuredList, error) {
	s.mu.Lock()
	s.narrowed++
	s.mu.Unlock()
	l, err := s.server.List(ctx, opts)
	if err == nil {
		l.Items = slices.DeleteFunc(l.Items, func(o unstructured.Unstructured) bool { return o.GetNamespace() != s.namespace })
	}
	return l, err
}

func (s inNamespace) Get(ctx context.Context, name string, _ metav1.GetOptions, _ ...string) (*unstructured.Unstructured, error) {
	if err := s.heard(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gets++
	if s.onGet != nil {
		return nil, s.onGet
	}
	o := s.objects[name]
	if o == nil || o.GetNamespace() != s.namespace {
		return nil, notFound()
	}
	return o.DeepCopy(), nil
}

func (s *server) Watch(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
	s.mu.Lock()
	s.watches = append(s.watches, opts.ResourceVersion)
	refuse := s.onWatch
	s.mu.Unlock()
	if err := s.heard(ctx); err != nil {
		return nil, err
	}
	if refuse != nil {
		if err := refuse(opts); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	from := atoi(opts.ResourceVersion)
	if from < s.oldest {
		return nil, apierrors.NewResourceExpired("too old resource version")
	}
	f := &follower{server: s, events: make(chan watch.Event, 10_000)}
	for _, p := range s.history {
		if p.rv > from {
			f.send(p.ev)
		}
	}
	s.open[f] = true
	f.timer = time.AfterFunc(time.Duration(*opts.TimeoutSeconds)*time.Second, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if opts.AllowWatchBookmarks {
			f.bookmark()
		}
		f.end()
	})
	return f, nil
}

// follower is one watch request. Its fields are guarded by the server's mu.
type follower struct {
	server *server
	events chan watch.Event
	timer  *time.Timer
	ended  bool
}

func (f *follower) ResultChan() <-chan watch.Event { return f.events }

func (f *follower) Stop() {
	f.server.mu.Lock()
	defer f.server.mu.Unlock()
	f.end()
}

func (f *follower) send(ev watch.Event) {
	if !f.ended {
		f.events <- watch.Event{Type: ev.Type, Object: ev.Object.DeepCopyObject()}
	}
}

func (f *follower) bookmark() {
	o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "example.com/v1", "kind": "Widget"}}
	o.SetResourceVersion(strconv.Itoa(f.server.rv))
	f.send(watch.Event{Type: watch.Bookmark, Object: o})
}

func (f *follower) end() {
	if !f.ended {
		f.ended = true
		f.timer.Stop()
		close(f.events)
		delete(f.server.open, f)
	}
}

// fail sends what a server sends that cannot go on with a watch.
func (f *follower) fail(err *apierrors.StatusError) {
	status := err.Status()
	f.send(watch.Event{Type: watch.Error, Object: &status})
}

func forbidden() error {
	return apierrors.NewForbidden(widgets, "", fmt.Errorf("user %q cannot watch", "kubescribe"))
}

func notFound() error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: http.StatusNotFound, Reason: metav1.StatusReasonNotFound}}
}

func atoi(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err)
	}
	return n
}

// lane is a lane, its dead letters and the bookmarks, for one worker after the
// other: what the bus keeps while watchers come and go.
type lane struct {
	mu        sync.Mutex
	messages  []bus.Message
	seq       uint64 // of the newest one
	made      time.Time
	ids       map[string]bool
	letters   map[uint64]bus.Message // by the sequence they were sent with
	bookmarks map[string]stored
	revision  uint64
	losePut   bool     // the next bookmark is stored, and nobody is told
	asked     []string // destination and reason of each run
	onAsk     error    // what asking for a run fails with

	onPublish func(c event.Change) error // called with mu held; nil for nothing
	onStored  func(c event.Change) error // the same, of what is stored: its answer
	most      int                        // how many were published at once, at most
}

type stored struct {
	event.Bookmark
	revision uint64
}

func newLane() *lane {
	return &lane{ids: map[string]bool{}, letters: map[uint64]bus.Message{}, bookmarks: map[string]stored{}}
}

func (l *lane) PublishAll(_ context.Context, items []bus.Item) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.most = max(l.most, len(items))
	for n, i := range items {
		duplicate, err := l.publish(i.ID, i.Output)
		i.Then(duplicate, err)
		if err != nil {
			return n, err
		}
	}
	return len(items), nil
}

// publish is called with mu held.
func (l *lane) publish(id string, out bus.Output) (bool, error) {
	c, err := event.ParseChange(out.Header, out.Data)
	if err != nil {
		return false, fault.As(fault.Terminate, fmt.Errorf("the worker published %w", err))
	}
	if l.onPublish != nil {
		if err := l.onPublish(c); err != nil {
			return false, err
		}
	}
	if l.ids[id] {
		return true, nil
	}
	l.ids[id] = true
	l.seq++
	l.messages = append(l.messages, bus.Message{Subject: out.Subject, Seq: l.seq, Header: out.Header, Data: out.Data})
	if l.onStored != nil {
		return false, l.onStored(c)
	}
	return false, nil
}

// reader is the lane's stream, as anybody sees it.
type reader struct{ *lane }

func (r reader) Reached(context.Context, string) (made time.Time, last uint64, err error) {
	made, last = r.lane.Reached()
	return made, last, nil
}

// anew makes the log anew, with so many messages of others.
func (l *lane) anew(made time.Time, others uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.messages, l.made, l.seq = nil, made, others
	clear(l.ids)
}

func (l *lane) LastFor(_ context.Context, _, filter string) (bus.Message, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range slices.Backward(l.messages) {
		if strings.HasPrefix(m.Subject, strings.TrimSuffix(filter, "*")) {
			return m, nil
		}
	}
	return bus.Message{}, bus.ErrNoMessage
}

func (l *lane) Reached() (made time.Time, seq uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.made, l.seq
}

func (l *lane) DeadLetter(_ context.Context, _ string, _ event.DestinationKey, _ string, m bus.Message, why error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	m.Header[event.HeaderReason] = []string{why.Error()}
	l.letters[m.Seq] = m
	return nil
}

func (l *lane) Get(_ context.Context, key string) (event.Bookmark, uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, ok := l.bookmarks[key]
	if !ok {
		return event.Bookmark{}, 0, bus.ErrNoMessage
	}
	return b.Bookmark, b.revision, nil
}

func (l *lane) Put(_ context.Context, key string, b event.Bookmark, revision uint64) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bookmarks[key].revision != revision {
		return 0, bus.ErrConflict
	}
	l.revision++
	l.bookmarks[key] = stored{b, l.revision}
	if l.losePut {
		l.losePut = false
		return 0, context.DeadlineExceeded
	}
	return l.revision, nil
}

// askRun asks for a run: it has to be durable before a bookmark is.
func (l *lane) askRun(_ context.Context, d event.DestinationKey, reason string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.onAsk != nil {
		return l.onAsk
	}
	bookmarks := ""
	for _, b := range l.bookmarks {
		bookmarks += " at " + b.ResourceVersion
	}
	l.asked = append(l.asked, d.Name+" "+reason+bookmarks)
	return nil
}

// caughtUp notes that a gap was closed, as a run that is asked for.
func (l *lane) caughtUp(ctx context.Context, d event.DestinationKey) error {
	return l.askRun(ctx, d, "caught up")
}

// runs are the runs that were asked for since the last call, each with the bookmarks
// that stood then.
func (l *lane) runs() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	asked := l.asked
	l.asked = nil
	return asked
}

// refuse makes publishing fail, nil to let it work again.
func (l *lane) refuse(f func(event.Change) error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.onPublish = f
}

// bookmarked is the only bookmark there is.
func (l *lane) bookmarked(t *testing.T) string {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.bookmarks) != 1 {
		t.Fatalf("there are %d bookmarks", len(l.bookmarks))
	}
	for _, b := range l.bookmarks {
		return b.ResourceVersion
	}
	return ""
}

// take returns what was stored since the last call, as one line each:
// op, name, version, size, and to whom unless it is for everyone.
func (l *lane) take(t *testing.T) []string {
	t.Helper()
	var lines []string
	for _, c := range l.changes(t) {
		size := strings.TrimSpace(string(c.Manifest[strings.LastIndex(string(c.Manifest), ":")+1:]))
		line := strings.TrimSpace(fmt.Sprintf("%s %s %s %s", c.Op, c.Name, c.ResourceVersion, size))
		if c.Run != "" {
			line += " for " + c.Run
		}
		lines = append(lines, line)
	}
	return lines
}

// changes returns what was stored since the last call.
func (l *lane) changes(t *testing.T) []event.Change {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []event.Change
	for i, m := range l.messages {
		c, err := event.ParseChange(m.Header, m.Data)
		if err != nil {
			t.Fatal(err)
		}
		if l.messages[i].Pending == 0 {
			all = append(all, c)
			l.messages[i].Pending = 1 // seen
		}
	}
	return all
}

// newest is the newest version there is.
func (s *server) newest() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strconv.Itoa(s.rv)
}
